//! Libraries of functions that the server keeps.

use super::Client;
use crate::argument::ToArg;
use crate::command::Command;
use crate::commands::{fcall, fcall_ro, function_list, function_load};
use crate::error::Error;
use crate::record::Record;
use alloc::string::String;
use alloc::vec::Vec;

/// A library of functions, as a server has it: Redis 7.0 or newer, or Valkey.
///
/// ```
/// use redwire_core::client::{Client, Library};
/// use redwire_core::command::Command;
/// use redwire_core::error::Error;
///
/// /// Functions as methods: each gives a request, to be run alone, in a tuple or as part of a transaction.
/// struct MyLib(Library);
///
/// impl MyLib {
///     async fn register(redis: &Client) -> Result<Self, Error> {
///         redis.register_library("mylib", "#!lua name=mylib\n...", true).await.map(Self)
///     }
///
///     fn hmmget(&self, keys: &[&str], field: &str) -> Option<Command<Vec<String>>> {
///         Some(self.0.function("hmmget")?.call(keys, &[&field]))
///     }
/// }
/// ```
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
    /// [`Error::Server`] when there is such a library already and it is not replaced, when the code is faulty, or when the server is older
    /// than Redis 7.0; [`Error::NoLibrary`] when the code's own name is another.
    pub async fn register_library(&self, name: &str, code: &str, replace: bool) -> Result<Library, Error> {
        let load = function_load(code.trim_start());
        self.execute(if replace { load.replace() } else { load }).await?;
        self.load_library(name).await
    }

    /// Finds the functions of the library `name`: `FUNCTION LIST`.
    ///
    /// # Errors
    /// [`Error::NoLibrary`] when the server has none with this name.
    pub async fn load_library(&self, name: &str) -> Result<Library, Error> {
        // a pattern: what it means is escaped
        let pattern: String = name.chars().flat_map(|char| escaped(char).into_iter().flatten()).collect();
        let libraries = self.execute(function_list().libraryname(pattern)).await?;
        let found = libraries.into_iter().find(|library| library.0 == name);
        let (_, library) = found.ok_or(Error::NoLibrary)?;
        let functions: Vec<(String, Record)> = library.get("functions")?;
        let functions = functions.into_iter().map(Function::read).collect::<Result<_, _>>()?;
        Ok(Library { name: name.into(), functions })
    }
}

fn escaped(char: char) -> [Option<char>; 2] {
    [matches!(char, '*' | '?' | '[' | ']' | '\\').then_some('\\'), Some(char)]
}

impl Library {
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
        if self.readonly {
            fcall_ro(&self.name).keys(keys).args(args).typed().into()
        } else {
            fcall(&self.name).keys(keys).args(args).typed().into()
        }
    }
}
