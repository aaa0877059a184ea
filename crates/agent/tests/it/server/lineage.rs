//! Which tokens the agents have, as the real server knows it.

use std::collections::HashMap;
use std::path::PathBuf;

use super::Server;

/// Where a connection is cut off while its token is handed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// The token never arrives.
    Offer,
    /// It is confirmed, and the server is killed before it takes note.
    Confirmation,
    /// The server takes note, and nothing more is heard of it.
    Afterwards,
}

#[derive(Default)]
pub(super) struct Lineage {
    /// What the agents showed, one entry a connection.
    pub shown: Vec<Vec<String>>,
    confirmed: HashMap<String, String>,
    /// Where the next connections are cut off, the next one last.
    pub cuts: Vec<Cut>,
    /// Where the agent has its tokens.
    pub file: Option<PathBuf>,
    made: u32,
}

impl Lineage {
    /// What the last one to show something is told; nothing when it must be refused.
    pub fn welcome(&mut self, machine: &str) -> Option<(Option<String>, String)> {
        let known = self.confirmed.get(machine).cloned();
        let shown = self.shown.last()?;
        if known.as_ref().is_some_and(|known| !shown.contains(known)) {
            return None;
        }
        if self.cuts.last() == Some(&Cut::Offer) {
            self.cuts.pop();
            return None;
        }
        self.made += 1;
        Some((known, format!("token-{}", self.made)))
    }

    pub fn confirm(&mut self, machine: String, token: String) -> Option<()> {
        if let Some(file) = &self.file {
            let kept = std::fs::read_to_string(file).unwrap();
            assert_eq!(kept.lines().last(), Some(token.as_str()), "it was confirmed before it was kept");
        }
        let cut = self.cuts.pop();
        if cut != Some(Cut::Confirmation) {
            self.confirmed.insert(machine, token);
        }
        cut.is_none().then_some(())
    }
}

impl Server {
    /// Cuts the next connections off there, in this order. The agent keeps its tokens in `file`.
    pub fn cut(&self, file: PathBuf, cuts: &[Cut]) {
        let mut state = self.state();
        state.lineage.file = Some(file);
        state.lineage.cuts = cuts.iter().rev().copied().collect();
    }

    /// What was shown by each connection.
    pub fn shown(&self) -> Vec<Vec<String>> {
        self.state().lineage.shown.clone()
    }
}
