//! The command line that starts a server.

use std::path::Path;

use tokio::process::Command;

/// What stands for the port in a command and in a URL.
pub(super) const PORT: &str = "{port}";

/// What stands for a folder in a command.
const DIR: &str = "{dir}";

/// The signs by which a command is one for the shell.
const OF_THE_SHELL: &str = "|&;<>()$`*?[]#~!\n";

/// A command line, to be run for one instance after the other.
#[derive(Clone, Debug)]
pub(super) struct Line {
    text: String,
}

impl Line {
    /// Errors: a text that is no command, with what is wrong.
    pub(super) fn new(text: &str) -> Result<Self, String> {
        if shlex::split(text).is_none() && !needs_shell(text) {
            return Err(format!("`{text}` has a quote that is not closed"));
        }
        if text.trim().is_empty() {
            return Err("the command is empty".to_owned());
        }
        Ok(Self {
            text: text.trim().to_owned(),
        })
    }

    /// The command as it was given.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether the command is told its port.
    pub(super) fn takes_port(&self) -> bool {
        self.text.contains(PORT)
    }

    /// Whether the command is told a folder.
    pub(super) fn takes_dir(&self) -> bool {
        self.text.contains(DIR)
    }

    /// The command for a port and a folder; by itself, or by the shell where it has signs of the shell.
    pub(super) fn command(&self, port: Option<u16>, dir: Option<&Path>) -> Command {
        let mut text = self.text.clone();
        if let Some(port) = port {
            text = text.replace(PORT, &port.to_string());
        }
        if let Some(dir) = dir {
            text = text.replace(DIR, &dir.display().to_string());
        }
        let words = shlex::split(&text).filter(|_| !needs_shell(&text));
        let mut words = words.unwrap_or_default().into_iter().peekable();
        let mut settings = Vec::new();
        while let Some(setting) = words.next_if(|word| is_setting(word)) {
            settings.extend(
                setting
                    .split_once('=')
                    .map(|(name, value)| (name.to_owned(), value.to_owned())),
            );
        }
        let mut command = match words.next() {
            Some(program) => Command::new(program),
            None => {
                settings.clear();
                let mut shell = Command::new("sh");
                shell.arg("-c").arg(&text);
                shell
            }
        };
        command.args(words).envs(settings);
        command
    }
}

fn needs_shell(text: &str) -> bool {
    text.contains(|sign| OF_THE_SHELL.contains(sign))
}

/// Whether a word sets a variable for the command behind it, as in `PORT=8000 node server.js`.
fn is_setting(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        let letter = |c: char| c.is_ascii_alphabetic() || c == '_';
        name.starts_with(letter) && name.chars().all(|c| letter(c) || c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        let command = Line::new(line)
            .unwrap()
            .command(Some(7), Some(Path::new("/d")));
        let command = command.as_std();
        let settings = command.get_envs().map(|(name, value)| {
            let value = value.unwrap_or_default().to_string_lossy().into_owned();
            format!("{}={value}", name.to_string_lossy())
        });
        settings
            .chain([command.get_program().to_string_lossy().into_owned()])
            .chain(
                command
                    .get_args()
                    .map(|arg| arg.to_string_lossy().into_owned()),
            )
            .collect()
    }

    #[test]
    fn simple_commands_run_by_themselves() {
        let wanted = ["a b", "--port", "7", "x y", "/d/data"];
        assert_eq!(words("'a b' --port {port} \"x y\" {dir}/data"), wanted);
        let wanted = ["HOST=h", "PORT=7", "node", "server.js", "A=b"];
        assert_eq!(words("PORT={port} HOST=h node server.js A=b"), wanted);
    }

    #[test]
    fn signs_of_the_shell_are_for_the_shell() {
        for line in ["cd x && ./s {port}", "./s $HOME", "a 2>log", "X=1"] {
            assert_eq!(words(line)[..2], ["sh", "-c"], "{line}");
        }
    }

    #[test]
    fn what_is_no_command_is_refused() {
        for line in ["", "  ", "'a"] {
            assert!(Line::new(line).is_err(), "{line}");
        }
    }
}
