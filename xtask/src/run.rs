//! Runs other programs; what fails says so in one line, with the remedy.

use std::fmt;
use std::io::{self, BufRead, BufReader};
use std::process::{Command, Stdio};

/// What failed, and what to do about it, in one line.
#[derive(Debug)]
pub(crate) struct Failure(pub(crate) String);

/// The outcome of a step.
pub(crate) type Result<T = ()> = std::result::Result<T, Failure>;

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

/// Turns an error into a [`Failure`] that says what was being done.
pub(crate) trait Context<T> {
    /// `what` reads like "write pkg/package.json".
    fn context(self, what: impl fmt::Display) -> Result<T>;
}

impl<T, E: fmt::Display> Context<T> for std::result::Result<T, E> {
    fn context(self, what: impl fmt::Display) -> Result<T> {
        self.map_err(|error| Failure(format!("cannot {what}: {error:#}")))
    }
}

/// Runs a program to its end on our own streams.
pub(crate) fn run(command: &mut Command, remedy: &str) -> Result {
    let status = command.status().map_err(|error| not_started(command, &error))?;
    if status.success() { Ok(()) } else { Err(failed(command, &status.to_string(), remedy)) }
}

/// Runs a program and gives what it printed; shows its complaints only when it failed.
pub(crate) fn capture(command: &mut Command, remedy: &str) -> Result<String> {
    let output = command.stdin(Stdio::null()).output().map_err(|error| not_started(command, &error))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    eprint!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    Err(failed(command, &output.status.to_string(), remedy))
}

/// Runs a program, shows each line it prints and hands it on; `false` when the program failed.
pub(crate) fn stream(command: &mut Command, mut on_line: impl FnMut(&str)) -> Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn().map_err(|error| not_started(command, &error))?;
    if let Some(stdout) = child.stdout.take() {
        for line in BufReader::new(stdout).split(b'\n') {
            let line = line.context(format!("read from {}", name(command)))?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            on_line(line.trim_end());
        }
    }
    Ok(child.wait().context(format!("wait for {}", name(command)))?.success())
}

/// Says what is being done.
pub(crate) fn step(what: impl fmt::Display) {
    eprintln!("xtask: {what}");
}

/// Whether a program is there, found by asking for its version.
pub(crate) fn version(program: &str) -> Option<String> {
    let output = Command::new(program).arg("--version").stdin(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn not_started(command: &Command, error: &io::Error) -> Failure {
    Failure(format!("{} did not start ({error}): install it and put it on PATH", name(command)))
}

fn failed(command: &Command, status: &str, remedy: &str) -> Failure {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.to_string_lossy()).collect();
    let mut line = format!("{} {}", name(command), arguments.join(" "));
    if line.len() > 120 {
        line.truncate(line.floor_char_boundary(117));
        line.push_str("...");
    }
    Failure(format!("`{line}` failed ({status}): {remedy}"))
}

fn name(command: &Command) -> String {
    let program = std::path::Path::new(command.get_program());
    program.file_name().unwrap_or(command.get_program()).to_string_lossy().into_owned()
}
