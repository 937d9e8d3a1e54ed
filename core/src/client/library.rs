//! Libraries of functions that the server keeps.

use super::{Client, push_operation};
use crate::argument::ToArg;
use crate::command::Command;
use crate::commands::{fcall, fcall_ro, function_list, function_load};
use crate::error::Error;
use crate::operation::kind;
use crate::record::Record;
use crate::reply::FromReply;
use crate::request::Request;
use alloc::string::String;
use alloc::vec::Vec;

/// A library of functions, as a server has it: Redis 7.0 or newer, or Valkey. [`library!`](crate::library) makes types of one's own of it.
#[derive(Clone, Debug)]
pub struct Library {
    name: String,
    functions: Vec<Function>,
}

/// A function of a library.
#[derive(Clone, Debug)]
pub struct Function {
    name: String,
    readonly: bool,
}

impl Client {
    /// Loads `code` as the library `name`, in place of an older one where `replace`: `FUNCTION LOAD`, then `FUNCTION LIST`. Space before the
    /// code is left out.
    ///
    /// # Errors
    /// [`Error::Server`] when there is such a library already and it is not replaced, or when the code is faulty; [`Error::Unsupported`]
    /// when the server is older than Redis 7.0; [`Error::NoLibrary`] when the code's own name is another.
    pub async fn register_library(&self, name: &str, code: &str, replace: bool) -> Result<Library, Error> {
        let load = function_load(code.trim_start());
        let load = if replace { load.replace() } else { load };
        self.count(&load)?;
        let pending = self.submit(1, |slots, commands| {
            load.calls(&mut |call| {
                let args = || call.args().iter();
                slots.iter().for_each(|&slot| push_operation(commands, slot, kind::LIBRARY, args()));
            });
        })?;
        Library::find(name, FromReply::from_reply(pending.replies(&load).await.take()?)?)
    }

    /// Finds the functions of the library `name`: `FUNCTION LIST`.
    ///
    /// # Errors
    /// [`Error::NoLibrary`] when the server has none with this name; [`Error::Unsupported`] when it is older than Redis 7.0.
    pub async fn load_library(&self, name: &str) -> Result<Library, Error> {
        Library::find(name, self.execute(function_list().libraryname(name)).await?)
    }
}

impl Library {
    /// Finds the library `name` among `libraries`: others are there where the name was taken for a pattern, or the code had another.
    fn find(name: &str, libraries: Vec<(String, Record)>) -> Result<Self, Error> {
        let found = libraries.into_iter().find(|library| library.0 == name);
        let (_, library) = found.ok_or(Error::NoLibrary)?;
        let functions: Vec<(String, Record)> = library.get("functions")?;
        let functions = functions.into_iter().map(Function::read).collect::<Result<_, _>>()?;
        Ok(Self { name: name.into(), functions })
    }

    /// Gives its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Gives its functions.
    pub fn functions(&self) -> &[Function] {
        &self.functions
    }

    /// Gives the function `name`; `None` where the library has none.
    pub fn function(&self, name: &str) -> Option<&Function> {
        self.functions.iter().find(|function| function.name == name)
    }

    /// Makes a call of the function `name`, like [`Function::call`]. Where the library has no such function, the server says so.
    pub fn call<R>(&self, name: &str, keys: &[&str], args: &[&dyn ToArg]) -> Command<R> {
        call(name, self.function(name).is_some_and(Function::is_readonly), keys, args)
    }

    /// Replaces the library's code with `code`.
    ///
    /// # Errors
    /// Those of [`Client::register_library`]; the library stays as it was then.
    pub async fn update(&mut self, client: &Client, code: &str) -> Result<(), Error> {
        *self = client.register_library(&self.name, code, true).await?;
        Ok(())
    }
}

impl Function {
    fn read((name, record): (String, Record)) -> Result<Self, Error> {
        let flags: Vec<String> = record.get("flags")?;
        Ok(Self { name, readonly: flags.iter().any(|flag| flag == "no-writes") })
    }

    /// Gives its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether it never writes (flag `no-writes`).
    pub fn is_readonly(&self) -> bool {
        self.readonly
    }

    /// Makes a call: FCALL_RO for a function that never writes, FCALL for any other. The reply reads as `R`, whatever the function returns.
    pub fn call<R>(&self, keys: &[&str], args: &[&dyn ToArg]) -> Command<R> {
        call(&self.name, self.readonly, keys, args)
    }
}

fn call<R>(name: &str, readonly: bool, keys: &[&str], args: &[&dyn ToArg]) -> Command<R> {
    if readonly {
        fcall_ro(name).keys(keys).args(args).typed().into()
    } else {
        fcall(name).keys(keys).args(args).typed().into()
    }
}

/// Makes a type for a library of functions: its name and its code, and a method per function, whose body is the call's keys and arguments.
///
/// The methods give requests, to be run alone, in a tuple or as part of a transaction. `register` and `load` make a value of the type, as
/// [`Client::register_library`](crate::client::Client::register_library) and [`Client::load_library`](crate::client::Client::load_library)
/// do; its only field is the [`Library`](crate::client::Library).
///
/// ```
/// use redwire_core::{client::Client, error::Error};
///
/// redwire_core::library! {
///     /// What our server does for us.
///     pub struct MyLib("mylib", "#!lua name=mylib
///         redis.register_function('echo', function(keys, args) return args[1] end)
///         redis.register_function('first', function(keys, args) return redis.call('HGET', keys[1], args[1]) end)");
///
///     fn echo(value: &str) -> String { &[], &[&value] }
///     /// Gives a field of the hash at `key`.
///     fn first(key: &str, field: &str) -> Option<i64> { &[key], &[&field] }
/// }
///
/// async fn run(redis: &Client) -> Result<(), Error> {
///     let lib = MyLib::register(redis, true).await?;
///     let (echoed, found) = redis.atomic((lib.echo("hello"), lib.first("hash", "field"))).await?;
///     assert_eq!((echoed.as_str(), found), ("hello", None));
///     Ok(())
/// }
/// ```
#[macro_export]
macro_rules! library {
    (
        $(#[$about:meta])*
        $visible:vis struct $library:ident($name:expr, $code:expr);
        $(
            $(#[$doc:meta])*
            fn $function:ident($($parameter:ident: $type:ty),* $(,)?) -> $reply:ty { $keys:expr, $args:expr }
        )*
    ) => {
        $(#[$about])*
        #[derive(Clone, Debug)]
        $visible struct $library($visible $crate::client::Library);

        #[allow(dead_code, reason = "a library has more functions than each program calls")]
        impl $library {
            /// Loads the library's code, in place of an older one where `replace`.
            ///
            /// # Errors
            /// Those of `Client::register_library`.
            $visible async fn register(
                client: &$crate::client::Client,
                replace: bool,
            ) -> Result<Self, $crate::error::Error> {
                client.register_library($name, $code, replace).await.map(Self)
            }

            /// Finds the library on the server.
            ///
            /// # Errors
            /// Those of `Client::load_library`.
            $visible async fn load(client: &$crate::client::Client) -> Result<Self, $crate::error::Error> {
                client.load_library($name).await.map(Self)
            }

            $(
                $(#[$doc])*
                $visible fn $function(&self, $($parameter: $type),*) -> $crate::command::Command<$reply> {
                    self.0.call(stringify!($function), $keys, $args)
                }
            )*
        }
    };
}
