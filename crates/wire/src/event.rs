//! Events: what happened in the library, as streams and webhooks tell it. Each is read from one entry of the audit
//! log and has its number, so that who knows a number knows what it has seen.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::audit::AuditEntry;
use crate::library::LibraryFile;
use crate::time::Timestamp;

/// Types, their names on the wire, and the actions of the audit log they stand for. One line a type.
macro_rules! types {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal, $action:literal;)+) => {
        /// What happened.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "camelCase")]
        #[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
        pub enum EventType {
            $($(#[$doc])+ $variant,)+
        }

        impl EventType {
            pub const ALL: &'static [EventType] = &[$(EventType::$variant,)+];

            /// The name on the wire.
            pub const fn name(self) -> &'static str {
                match self { $(EventType::$variant => $name,)+ }
            }

            /// The type of an action of the audit log; none for what is no event of the library.
            pub fn of_action(action: &str) -> Option<EventType> {
                match action { $($action => Some(EventType::$variant),)+ _ => None }
            }
        }
    };
}

types! {
    /// A name entered the library.
    Uploaded = "uploaded", "library.upload";
    /// Other bytes took the place of a file's own.
    Overridden = "overridden", "library.override";
    /// A file was deleted; it is kept for the retention time.
    Deleted = "deleted", "library.delete";
    /// An earlier version, or a deleted file, came back.
    Restored = "restored", "library.restore";
    /// What people say about a file was changed.
    Changed = "changed", "library.change";
    /// A deleted file was removed for good.
    Purged = "purged", "library.purge";
    /// A legal hold was set.
    Held = "held", "library.hold";
    /// A legal hold was lifted.
    Released = "released", "library.release";
    /// The retention time of a version passed, and it was removed.
    Expired = "expired", "library.expire";
}

impl EventType {
    /// Exact: `Uploaded` or `library.upload` is none.
    pub fn parse(name: &str) -> Option<EventType> {
        EventType::ALL.iter().copied().find(|kind| kind.name() == name)
    }
}

/// One change of the library. `null` is written, never omitted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LibraryEvent {
    /// The change's number: larger than that of every event before. Other changes have numbers too, so there are gaps.
    pub number: i64,
    #[serde(rename = "type")]
    pub kind: EventType,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Timestamp,
    /// Display name of who did it.
    pub actor: String,
    pub file_name: String,
    /// The file's id.
    pub id: Option<String>,
    /// Which version is meant: the new one, or that which went.
    pub version: Option<u64>,
    pub sha256: Option<String>,
    /// The file as the change made it, or as it was when it was deleted; null where neither applies.
    #[cfg_attr(feature = "openapi", schema(value_type = Option<LibraryFile>))]
    pub file: Option<LibraryFile>,
    /// Why, where a reason had to be given.
    pub reason: Option<String>,
    /// The request that did it, as in its answer's `request-id`.
    pub request_id: String,
}

impl LibraryEvent {
    /// The event of an entry of the audit log; none when it tells of something else than the library.
    pub fn of(entry: &AuditEntry) -> Option<LibraryEvent> {
        let kind = EventType::of_action(&entry.action)?;
        let (before, after) = (entry.before.as_ref(), entry.after.as_ref());
        let file = after.and_then(|after| after.get("file")).or_else(|| before?.get("file"));
        let file: Option<LibraryFile> = file.and_then(|file| LibraryFile::deserialize(file).ok());
        let either = |name: &str| {
            let found = after.and_then(|after| after.get(name));
            found.or_else(|| before?.get(name)).or_else(|| before?.get("versions")?.get(0)?.get(name))
        };
        let text = |name: &str| either(name).and_then(Value::as_str).map(str::to_owned);
        Some(LibraryEvent {
            number: entry.number,
            kind,
            time: entry.time,
            actor: entry.actor.clone(),
            file_name: entry.target.clone(),
            id: file.as_ref().map(|file| file.id.clone()).or_else(|| text("id")),
            version: file.as_ref().map(|file| file.version).or_else(|| either("version")?.as_u64()),
            sha256: file.as_ref().map(|file| file.sha256.clone()).or_else(|| text("sha256")),
            file,
            reason: after.and_then(|after| after.get("reason")?.as_str()).map(str::to_owned),
            request_id: entry.request_id.clone(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::{EventType, LibraryEvent};
    use crate::audit::AuditEntry;
    use crate::time::Timestamp;

    fn entry(action: &str, before: Value, after: Value) -> AuditEntry {
        let some = |value: Value| (!value.is_null()).then_some(value);
        AuditEntry {
            number: 7,
            time: Timestamp::from_secs(0),
            actor: "ada".into(),
            actor_id: "app t a".into(),
            address: None,
            action: action.into(),
            target: "a.ps1".into(),
            before: some(before),
            after: some(after),
            request_id: "r".into(),
            previous: String::new(),
            hash: String::new(),
        }
    }

    fn file(version: u64, sha256: &str) -> Value {
        json!({
            "fileName": "a.ps1", "sha256": sha256, "description": null, "creationTime": "1970-01-01T00:00:00Z",
            "lastUpdatedTime": "1970-01-01T00:00:00Z", "createdBy": "ada", "hasParameters": false,
            "parametersDescription": null, "id": "3", "size": 1, "version": version, "tags": [], "platforms": [],
            "category": null, "instructions": null, "legalHold": false
        })
    }

    #[test]
    fn names_are_those_that_serde_writes_and_parse_reads() {
        for kind in EventType::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.name());
            assert_eq!(EventType::parse(kind.name()), Some(*kind));
        }
        for no in ["", "Uploaded", "library.upload", "upload", "uploaded "] {
            assert_eq!(EventType::parse(no), None, "{no:?}");
        }
    }

    #[test]
    fn an_event_tells_the_file_as_the_change_made_it() {
        let entry = entry("library.override", json!({"file": file(1, "aa")}), json!({"file": file(2, "bb")}));
        let event = LibraryEvent::of(&entry).unwrap();
        assert_eq!(
            serde_json::to_value(&event).unwrap(),
            json!({
                "number": 7, "type": "overridden", "time": "1970-01-01T00:00:00Z", "actor": "ada",
                "fileName": "a.ps1", "id": "3", "version": 2, "sha256": "bb", "file": file(2, "bb"),
                "reason": null, "requestId": "r"
            })
        );
        assert!(!serde_json::to_string(&event).unwrap().contains('\n'));
    }

    #[test]
    fn what_went_is_told_from_what_was_before() {
        let told = |action, before, after| {
            let event = LibraryEvent::of(&entry(action, before, after)).unwrap();
            (event.id, event.version, event.sha256, event.file.map(|file| file.version), event.reason)
        };
        let known = |version, sha256: &str| (Some("3".to_owned()), version, Some(sha256.to_owned()));
        let (id, version, sha256) = known(Some(2), "bb");
        assert_eq!(
            told("library.delete", json!({"file": file(2, "bb")}), Value::Null),
            (id.clone(), version, sha256.clone(), Some(2), None)
        );
        let gone =
            json!({"id": "3", "versions": [{"version": 2, "sha256": "bb"}, {"version": 1, "sha256": "aa"}]});
        assert_eq!(
            told("library.purge", gone, json!({"reason": "old"})),
            (id.clone(), version, sha256, None, Some("old".into()))
        );
        let expired = json!({"id": "3", "version": 1, "sha256": "aa"});
        let (_, version, sha256) = known(Some(1), "aa");
        assert_eq!(told("library.expire", expired, Value::Null), (id.clone(), version, sha256, None, None));
        assert_eq!(
            told("library.release", json!({"reason": "set"}), json!({"id": "3", "reason": "lifted"})),
            (id, None, None, None, Some("lifted".into()))
        );
    }

    #[test]
    fn other_entries_are_no_events_and_old_ones_no_failures() {
        for other in
            ["client.add", "key.make", "catalog.restore", "webhook.add", "library.", "library.uploaded"]
        {
            assert_eq!(LibraryEvent::of(&entry(other, Value::Null, Value::Null)), None, "{other}");
        }
        let odd =
            LibraryEvent::of(&entry("library.upload", Value::Null, json!({"file": {"id": 3}, "version": 2})));
        let odd = odd.unwrap();
        assert_eq!((odd.file, odd.id, odd.version), (None, None, Some(2)));
    }
}
