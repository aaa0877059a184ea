//! What the words of a command line ask for.

use std::ffi::OsString;
use std::path::PathBuf;

use crate::enroll::Pasted;
use crate::error::{Error, Result};
use crate::settings::Home;

pub const USAGE: &str = "\
Usage: jumpbag-agent COMMAND [--data-dir DIR]

  enroll URL TOKEN     make this machine one of the server's; the server prints this line
      --ca FILE        trust the certificates in FILE (PEM) instead of the system's
      --proxy URL      go through this HTTP proxy; without it the environment says
      --again          become a new machine, though this one is enrolled
  run                  connect and do what the server assigns, until told to stop
  service install      have the system start the agent, now and always
  service uninstall    undo that
  service status       whether it runs
  facts                print what the server is told of this machine
  version              print the version
";

pub enum Asked {
    Help,
    Version,
    Facts,
    Enroll {
        home: Home,
        pasted: Pasted,
    },
    Run {
        home: Home,
    },
    Service {
        verb: ServiceVerb,
        home: Home,
    },
    /// For the agent itself.
    #[cfg(unix)]
    Supervise,
}

pub enum ServiceVerb {
    Install,
    Uninstall,
    Status,
    #[cfg(windows)]
    Serve,
}

/// # Errors
/// When the words make no sense.
pub fn read(words: impl Iterator<Item = OsString>) -> Result<Asked> {
    let mut plain = Vec::new();
    let mut options = Options::default();
    let mut words = words;
    while let Some(word) = words.next() {
        match word.to_str() {
            Some(word) if word.starts_with("--") && word.len() > 2 => options.take(word, &mut words)?,
            Some(word) => plain.push(word.to_owned()),
            None => return Err(Error::new("an argument is not Unicode")),
        }
    }
    let plain: Vec<&str> = plain.iter().map(String::as_str).collect();
    options.asked(&plain)
}

#[derive(Default)]
struct Options {
    data: Option<PathBuf>,
    ca: Option<PathBuf>,
    proxy: Option<String>,
    again: bool,
    help: bool,
    version: bool,
}

impl Options {
    fn take(&mut self, word: &str, words: &mut impl Iterator<Item = OsString>) -> Result<()> {
        let (name, given) = match word.split_once('=') {
            Some((name, value)) => (name, Some(OsString::from(value))),
            None => (word, None),
        };
        let mut value = || {
            let value = given.clone().or_else(|| words.next());
            value.ok_or_else(|| Error::new(format!("`{name}` is followed by nothing")))
        };
        match name {
            "--data-dir" => self.data = Some(value()?.into()),
            "--ca" => self.ca = Some(value()?.into()),
            "--proxy" => {
                let text = value()?.into_string();
                self.proxy = Some(text.map_err(|_| Error::new("the proxy is not Unicode"))?);
            }
            "--again" => self.again = true,
            "--help" => self.help = true,
            "--version" => self.version = true,
            _ => return Err(Error::new(format!("there is no option `{name}`"))),
        }
        Ok(())
    }

    fn asked(self, plain: &[&str]) -> Result<Asked> {
        let enrols = plain.first() == Some(&"enroll");
        if !enrols && (self.ca.is_some() || self.proxy.is_some() || self.again) {
            return Err(Error::new("`--ca`, `--proxy` and `--again` go with `enroll`"));
        }
        if self.help {
            return Ok(Asked::Help);
        }
        if self.version {
            return Ok(Asked::Version);
        }
        let home = Home::new(
            std::path::absolute(self.data.unwrap_or_else(Home::usual))
                .map_err(|error| Error::new(format!("the data folder cannot be found: {error}")))?,
        );
        let service = |verb| Asked::Service { verb, home: home.clone() };
        Ok(match plain {
            ["help" | "-h"] | [] => Asked::Help,
            ["version" | "-V"] => Asked::Version,
            ["facts"] => Asked::Facts,
            ["run"] => Asked::Run { home },
            ["enroll", url, token] => Asked::Enroll {
                home,
                pasted: Pasted {
                    url: (*url).to_owned(),
                    token: (*token).to_owned(),
                    ca: self.ca,
                    proxy: self.proxy,
                    again: self.again,
                },
            },
            ["enroll", ..] => return Err(Error::new("`enroll` is followed by an address and a token")),
            ["service", "install"] => service(ServiceVerb::Install),
            ["service", "uninstall"] => service(ServiceVerb::Uninstall),
            ["service", "status"] => service(ServiceVerb::Status),
            #[cfg(windows)]
            ["service", "serve"] => service(ServiceVerb::Serve),
            ["service", ..] => {
                return Err(Error::new("`service` is followed by `install`, `uninstall` or `status`"));
            }
            #[cfg(unix)]
            ["supervise"] => Asked::Supervise,
            [word, ..] => return Err(Error::new(format!("there is no command `{word}`"))),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(line: &str) -> Result<Asked> {
        read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn words_are_understood_in_any_order_and_mistakes_are_named() {
        let Ok(Asked::Enroll { home, pasted }) = asked("enroll --again https://x --data-dir=/d T.K --ca /c")
        else {
            panic!("not understood")
        };
        assert_eq!(home.folder(), std::path::Path::new("/d"));
        assert_eq!((pasted.url.as_str(), pasted.token.as_str(), pasted.again), ("https://x", "T.K", true));
        assert!(matches!(asked("service status"), Ok(Asked::Service { verb: ServiceVerb::Status, .. })));
        assert!(matches!(asked("run --help"), Ok(Asked::Help)));
        for (line, words) in [
            ("enroll x", "an address and a token"),
            ("run --ca x", "go with `enroll`"),
            ("run --fast", "`--fast`"),
            ("run --data-dir", "followed by nothing"),
            ("stop", "`stop`"),
        ] {
            let error = asked(line).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(words), "{line}: {error}");
        }
    }
}
