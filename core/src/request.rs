//! What a client can run: a command, several in a tuple, or any number in a `Vec`.

use crate::command::{Call, Command};
use crate::error::{Error, Mismatch, ServerError};
use crate::reply::FromReply;
use crate::resp::Frame;
use alloc::vec::{self, Vec};

/// One or more commands that are sent together and read together.
///
/// Implemented by [`Command`], by the builders of [`commands`](crate::commands), by tuples of up to 16 requests and by `Vec`s of
/// requests.
pub trait Request {
    /// What its replies read as.
    type Output;

    /// What its replies read as when each item stands for itself.
    type Tried;

    /// Gives its commands to `each`, in order, whenever it is asked. What clients share is locked meanwhile: use none in here, and wait for
    /// nothing.
    fn calls(&self, each: &mut dyn FnMut(&Call));

    /// Takes a reply off `replies` for each command, for those behind one that failed too.
    ///
    /// # Errors
    /// The first of its commands that failed.
    fn read(&self, replies: &mut Replies) -> Result<Self::Output, Error>;

    /// Like [`read`](Self::read), with a `Result` for each item.
    fn try_read(&self, replies: &mut Replies) -> Self::Tried;
}

/// The replies to a request, in order.
#[derive(Debug)]
pub struct Replies {
    frames: vec::IntoIter<Result<Frame, Error>>,
}

impl Replies {
    pub(crate) fn new(frames: Vec<Result<Frame, Error>>) -> Self {
        Self { frames: frames.into_iter() }
    }

    /// Takes the next reply.
    ///
    /// # Errors
    /// Why there is none.
    pub fn take(&mut self) -> Result<Frame, Error> {
        match self.frames.next() {
            Some(Ok(Frame::Error(text))) => Err(ServerError::from(text).into()),
            Some(reply) => reply,
            None => Err(Mismatch { wanted: "another reply", found: "none" }.into()),
        }
    }
}

impl<R: FromReply> Request for Command<R> {
    type Output = R;
    type Tried = Result<R, Error>;

    fn calls(&self, each: &mut dyn FnMut(&Call)) {
        each(self.call());
    }

    fn read(&self, replies: &mut Replies) -> Result<R, Error> {
        replies.take().and_then(R::from_reply)
    }

    fn try_read(&self, replies: &mut Replies) -> Result<R, Error> {
        self.read(replies)
    }
}

impl<Q: Request> Request for Vec<Q> {
    type Output = Vec<Q::Output>;
    type Tried = Vec<Result<Q::Output, Error>>;

    fn calls(&self, each: &mut dyn FnMut(&Call)) {
        self.iter().for_each(|request| request.calls(each));
    }

    fn read(&self, replies: &mut Replies) -> Result<Self::Output, Error> {
        // each takes its own replies, whatever those before it were
        let mut items = self.iter().map(|request| request.read(replies));
        let all = items.by_ref().collect();
        items.for_each(drop);
        all
    }

    fn try_read(&self, replies: &mut Replies) -> Self::Tried {
        self.iter().map(|request| request.read(replies)).collect()
    }
}

macro_rules! tuples {
    ($($name:ident)*) => {
        impl<$($name: Request),*> Request for ($($name,)*) {
            type Output = ($($name::Output,)*);
            type Tried = ($(Result<$name::Output, Error>,)*);

            #[allow(non_snake_case, reason = "the names of the types name the values")]
            fn calls(&self, each: &mut dyn FnMut(&Call)) {
                let ($($name,)*) = self;
                $($name.calls(each);)*
            }

            #[allow(non_snake_case, reason = "the names of the types name the values")]
            fn read(&self, replies: &mut Replies) -> Result<Self::Output, Error> {
                let ($($name,)*) = self.try_read(replies);
                Ok(($($name?,)*))
            }

            #[allow(non_snake_case, reason = "the names of the types name the values")]
            fn try_read(&self, replies: &mut Replies) -> Self::Tried {
                let ($($name,)*) = self;
                ($($name.read(replies),)*)
            }
        }
    };
}

tuples!(A);
tuples!(A B);
tuples!(A B C);
tuples!(A B C D);
tuples!(A B C D E);
tuples!(A B C D E F);
tuples!(A B C D E F G);
tuples!(A B C D E F G H);
tuples!(A B C D E F G H I);
tuples!(A B C D E F G H I J);
tuples!(A B C D E F G H I J K);
tuples!(A B C D E F G H I J K L);
tuples!(A B C D E F G H I J K L M);
tuples!(A B C D E F G H I J K L M N);
tuples!(A B C D E F G H I J K L M N O);
tuples!(A B C D E F G H I J K L M N O P);
