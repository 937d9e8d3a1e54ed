//! The types that replies are read into, named the same whether there is an allocator or not.
//!
//! Without `alloc` nothing owns a reply ([`Session`](crate::session::Session) lends it): a command's reply type is then only a name.

#[cfg(feature = "alloc")]
pub use crate::paths::Paths;
#[cfg(feature = "alloc")]
pub use crate::record::Record;
#[cfg(feature = "alloc")]
pub use crate::resp::Frame;
#[cfg(feature = "alloc")]
pub use alloc::{string::String, vec::Vec};
#[cfg(feature = "alloc")]
pub use bytes::Bytes;

#[cfg(not(feature = "alloc"))]
mod names {
    /// Names a reply of bytes.
    #[derive(Clone, Copy, Debug)]
    pub enum Bytes {}

    /// Names a reply of text.
    #[derive(Clone, Copy, Debug)]
    pub enum String {}

    /// Names a reply of any kind.
    #[derive(Clone, Copy, Debug)]
    pub enum Frame {}

    /// Names a reply of fields.
    #[derive(Clone, Copy, Debug)]
    pub enum Record {}

    /// Names a reply to a JSON path.
    #[derive(Clone, Copy, Debug)]
    pub struct Paths<T>(core::marker::PhantomData<T>);

    /// Names a reply of many elements.
    #[derive(Clone, Copy, Debug)]
    pub struct Vec<T>(core::marker::PhantomData<T>);
}

#[cfg(not(feature = "alloc"))]
pub use names::{Bytes, Frame, Paths, Record, String, Vec};

/// A reply whose bytes can be read as text.
pub trait ToText {
    /// The same with [`String`] for [`Bytes`].
    type Text;
}

macro_rules! texts {
    ($($type:ty => $text:ty),*) => {$(
        impl ToText for $type {
            type Text = $text;
        }
    )*};
}

texts!(Bytes => String, String => String, i64 => i64, f64 => f64, bool => bool);

impl<T: ToText> ToText for Option<T> {
    type Text = Option<T::Text>;
}

impl<T: ToText> ToText for Vec<T> {
    type Text = Vec<T::Text>;
}

impl<T: ToText> ToText for Paths<T> {
    type Text = Paths<T::Text>;
}

impl<A: ToText, B: ToText> ToText for (A, B) {
    type Text = (A::Text, B::Text);
}
