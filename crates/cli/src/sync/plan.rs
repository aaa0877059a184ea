//! What has to happen so that a library has what is wanted of it. Deciding touches nothing.

use std::collections::HashMap;

use serde::Serialize;

use super::Lock;
use crate::client::{Entry, Fields, Source};

/// A file that the library shall have.
#[derive(Debug, Clone)]
pub struct Wanted {
    pub name: String,
    /// What people know it by here: its path from the folder.
    pub place: String,
    pub source: Source,
    pub sha256: String,
    pub size: u64,
    pub fields: Fields,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum What {
    Unchanged,
    Add,
    Override,
    /// Only what is said about it.
    Edit,
    Delete,
    /// Somebody else changed it: it is left as it is.
    Conflict,
    /// It is in the library and not wanted, and nobody said that such files go.
    Extra,
}

/// What happens to one file.
#[derive(Debug)]
pub struct Step {
    pub what: What,
    pub name: String,
    pub wanted: Option<Wanted>,
    /// As it is in the library now.
    pub entry: Option<Entry>,
    /// Which properties would be said otherwise.
    pub differing: Vec<&'static str>,
    /// Why it is a conflict.
    pub why: Option<String>,
}

#[derive(Debug, Clone, Copy, Default)]
pub struct Rules {
    /// What is not wanted goes.
    pub delete: bool,
    /// What somebody else changed is overwritten.
    pub force: bool,
}

pub struct Plan(pub Vec<Step>);

impl Plan {
    /// By name, as the library orders them.
    pub fn make(wanted: Vec<Wanted>, library: Vec<Entry>, lock: Option<&Lock>, rules: Rules) -> Plan {
        let mut library: HashMap<String, Entry> =
            library.into_iter().map(|entry| (entry.file_name.to_lowercase(), entry)).collect();
        let mut steps: Vec<Step> = wanted
            .into_iter()
            .map(|wanted| {
                let entry = library.remove(&wanted.name.to_lowercase());
                decide(wanted, entry, lock, rules)
            })
            .collect();
        steps.extend(library.into_values().map(|entry| unwanted(entry, lock, rules)));
        steps.sort_by_cached_key(|step| step.name.to_lowercase());
        Plan(steps)
    }

    pub fn count(&self, what: What) -> usize {
        self.0.iter().filter(|step| step.what == what).count()
    }

    /// The steps that do something, or that something is in the way of.
    pub fn changes(&self) -> impl Iterator<Item = &Step> {
        self.0.iter().filter(|step| !matches!(step.what, What::Unchanged | What::Extra))
    }
}

fn decide(wanted: Wanted, entry: Option<Entry>, lock: Option<&Lock>, rules: Rules) -> Step {
    let locked = lock.and_then(|lock| lock.get(&wanted.name));
    let name = wanted.name.clone();
    let Some(entry) = entry else {
        let gone = locked.is_some() && !rules.force;
        let why = gone.then(|| "somebody deleted it on the server".to_owned());
        let what = if gone { What::Conflict } else { What::Add };
        return Step { what, name, wanted: Some(wanted), entry: None, differing: Vec::new(), why };
    };
    let differing = wanted.fields.differing(&entry);
    let theirs = match locked {
        Some(locked) => (!locked.is(&entry)).then(|| changed(&entry)),
        None => lock.is_some_and(Lock::is_known).then(|| added(&entry)),
    };
    let same_bytes = entry.sha256 == wanted.sha256;
    let (what, why) = if same_bytes && differing.is_empty() {
        (What::Unchanged, None)
    } else if let Some(why) = theirs.filter(|_| !rules.force) {
        (What::Conflict, Some(why))
    } else if same_bytes {
        (What::Edit, None)
    } else {
        (What::Override, None)
    };
    Step { what, name, wanted: Some(wanted), entry: Some(entry), differing, why }
}

fn unwanted(entry: Entry, lock: Option<&Lock>, rules: Rules) -> Step {
    let known = lock.is_some_and(Lock::is_known);
    let locked = lock.and_then(|lock| lock.get(&entry.file_name));
    let (what, why) = if !rules.delete {
        (What::Extra, None)
    } else if rules.force || !known || locked.is_some_and(|locked| locked.is(&entry)) {
        (What::Delete, None)
    } else if locked.is_some() {
        (What::Conflict, Some(format!("not in the folder, but {}", changed(&entry))))
    } else {
        (What::Conflict, Some(format!("not in the folder, but {}", added(&entry))))
    };
    Step { what, name: entry.file_name.clone(), wanted: None, entry: Some(entry), differing: Vec::new(), why }
}

fn added(entry: &Entry) -> String {
    format!("{} added it on the server", entry.created_by.as_deref().unwrap_or("somebody"))
}

/// Who did it is told of a new file only; of others the list tells when.
fn changed(entry: &Entry) -> String {
    let when = entry.last_updated_time.map(|time| format!(" at {time}")).unwrap_or_default();
    format!("somebody changed it on the server{when}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: &str, sha256: &str, description: Option<&str>) -> Entry {
        let json = serde_json::json!({ "fileName": name, "sha256": sha256, "description": description });
        serde_json::from_value(json).expect("an entry")
    }

    fn wanted(name: &str, sha256: &str, description: Option<&str>) -> Wanted {
        let fields = Fields { description: description.map(str::to_owned), ..Fields::default() };
        let source = Source::File(name.into());
        Wanted { name: name.into(), place: name.into(), source, sha256: sha256.into(), size: 1, fields }
    }

    fn lock(entries: &[Entry]) -> Lock {
        let mut lock =
            Lock::read(std::path::Path::new("/nonexistent/library.lock"), "server").expect("no lock");
        entries.iter().for_each(|entry| lock.agree(entry));
        lock
    }

    /// All combinations of what was, what is there and what is here: nothing that somebody else did is undone
    /// without being told to, and whatever is not is done.
    #[test]
    fn three_ways_for_every_combination() {
        let states = [None, Some("1"), Some("2"), Some("3")];
        let rules = [(false, false), (true, false), (false, true), (true, true)]
            .map(|(delete, force)| Rules { delete, force });
        for base in states {
            for there in states {
                for here in states {
                    for rules in rules {
                        // Another file makes the lock one that is known.
                        let mut before = vec![entry("other", "0", None)];
                        before.extend(base.map(|sha256| entry("a", sha256, None)));
                        let library = there.map(|sha256| entry("a", sha256, None)).into_iter().collect();
                        let wanted = here.map(|sha256| wanted("A", sha256, None)).into_iter().collect();
                        let plan = Plan::make(wanted, library, Some(&lock(&before)), rules);
                        let what = plan.0.first().map(|step| step.what);
                        let case = (base, there, here, rules);
                        let theirs = there != base;
                        match (there, here) {
                            (None, None) => assert_eq!(what, None, "{case:?}"),
                            _ if there == here => assert_eq!(what, Some(What::Unchanged), "{case:?}"),
                            (Some(_), None) if !rules.delete => {
                                assert_eq!(what, Some(What::Extra), "{case:?}")
                            }
                            _ if theirs && !rules.force => assert_eq!(what, Some(What::Conflict), "{case:?}"),
                            (Some(_), None) => assert_eq!(what, Some(What::Delete), "{case:?}"),
                            (None, Some(_)) => assert_eq!(what, Some(What::Add), "{case:?}"),
                            (Some(_), Some(_)) => assert_eq!(what, Some(What::Override), "{case:?}"),
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_description_that_somebody_changed_is_a_conflict_and_one_that_we_change_is_not() {
        let base = entry("a", "1", Some("old"));
        let lock = lock(std::slice::from_ref(&base));
        let make = |there: Entry, description| {
            let plan =
                Plan::make(vec![wanted("a", "1", description)], vec![there], Some(&lock), Rules::default());
            (plan.0[0].what, plan.0[0].differing.clone())
        };
        assert_eq!(make(base.clone(), Some("new")), (What::Edit, vec!["description"]));
        assert_eq!(make(base, Some("old")), (What::Unchanged, vec![]));
        assert_eq!(make(entry("a", "1", Some("theirs")), Some("old")).0, What::Conflict);
        // What nobody here says anything about is theirs to say.
        assert_eq!(make(entry("a", "1", Some("theirs")), None).0, What::Unchanged);
    }

    #[test]
    fn without_a_lock_the_folder_is_right() {
        let library = vec![entry("a", "1", None), entry("b", "1", None)];
        let rules = Rules { delete: true, force: false };
        let plan = Plan::make(vec![wanted("a", "2", None)], library, None, rules);
        assert_eq!(plan.0.iter().map(|step| step.what).collect::<Vec<_>>(), [What::Override, What::Delete]);
    }
}
