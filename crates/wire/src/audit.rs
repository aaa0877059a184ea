//! Entries of the audit log, and the chain through them: every entry holds the hash of the one before it, so that
//! whoever knows the newest hash can tell whether any entry was altered, dropped, moved or slipped in.

mod export;
mod verify;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::hex::hex;
use crate::time::Timestamp;

pub use export::ExportFault;
pub use verify::{Fault, Verified, Verifier};

/// The action of the entry that follows a restore from a backup: its `before.number` is the last entry of the backup,
/// and the numbers between are left out.
pub const RESTORE: &str = "catalog.restore";
/// The hash before the first entry.
pub const FIRST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// One change of the library, of app registrations or of keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct AuditEntry {
    /// The change's number: one more than that of the entry before, but after a restore from a backup.
    pub number: i64,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub time: Timestamp,
    /// Display name of who did it.
    pub actor: String,
    /// Which tenant and app or user that is, or which command of the server.
    pub actor_id: String,
    /// Address that the request came from; null for a command.
    pub address: Option<String>,
    /// For example `library.upload`.
    pub action: String,
    /// What was changed: a file's name, a client's id.
    pub target: String,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub before: Option<Value>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub after: Option<Value>,
    pub request_id: String,
    /// `hash` of the entry before; 64 zeros for the first.
    pub previous: String,
    /// SHA-256 of this entry without `hash` as canonical JSON, 64 lower-case hexadecimal digits.
    pub hash: String,
}

impl AuditEntry {
    /// What `hash` has to be.
    pub fn expected_hash(&self) -> String {
        let text = |value: &Option<Value>| value.as_ref().map_or_else(|| "null".to_owned(), canonical);
        self.hash_with(&text(&self.before), &text(&self.after))
    }

    /// The same, by whoever has `before` and `after` as canonical JSON already.
    pub fn hash_with(&self, before: &str, after: &str) -> String {
        // Keys in order, as in canonical JSON (RFC 8785). There are no fractions in entries.
        let mut text = String::with_capacity(512 + before.len() + after.len());
        let mut separator = '{';
        let mut field = |name: &str, value: &dyn Fn(&mut String)| {
            text.push(separator);
            separator = ',';
            text.push('"');
            text.push_str(name);
            text.push_str("\":");
            value(&mut text);
        };
        field("action", &|out| quoted(&self.action, out));
        field("actor", &|out| quoted(&self.actor, out));
        field("actorId", &|out| quoted(&self.actor_id, out));
        field("address", &|out| optional(self.address.as_deref(), out));
        field("after", &|out| out.push_str(after));
        field("before", &|out| out.push_str(before));
        field("number", &|out| out.push_str(&self.number.to_string()));
        field("previous", &|out| quoted(&self.previous, out));
        field("requestId", &|out| quoted(&self.request_id, out));
        field("target", &|out| quoted(&self.target, out));
        field("time", &|out| quoted(&self.time.to_string(), out));
        text.push('}');
        hex(&Sha256::digest(text))
    }
}

/// JSON with the keys of every object in order and no spaces.
pub fn canonical(value: &Value) -> String {
    let mut text = String::new();
    write_canonical(value, &mut text);
    text
}

fn write_canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => {
            let mut entries: Vec<_> = object.iter().collect();
            entries.sort_unstable_by(|one, other| one.0.encode_utf16().cmp(other.0.encode_utf16()));
            out.push('{');
            for (index, (key, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                quoted(key, out);
                out.push(':');
                write_canonical(value, out);
            }
            out.push('}');
        }
        Value::Array(items) => {
            out.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                write_canonical(item, out);
            }
            out.push(']');
        }
        Value::String(text) => quoted(text, out),
        plain => out.push_str(&plain.to_string()),
    }
}

fn optional(text: Option<&str>, out: &mut String) {
    match text {
        Some(text) => quoted(text, out),
        None => out.push_str("null"),
    }
}

fn quoted(text: &str, out: &mut String) {
    out.push_str(&Value::from(text).to_string());
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{AuditEntry, FIRST, canonical};
    use crate::time::Timestamp;

    #[test]
    fn keys_are_in_order_at_every_depth_and_nothing_is_spaced() {
        let value = json!({"b": [1, {"z": null, "a": "é\n\"\u{1}"}], "a": true, "\u{ffff}": 1, "𐀀": 2});
        let expected = "{\"a\":true,\"b\":[1,{\"a\":\"é\\n\\\"\\u0001\",\"z\":null}],\"𐀀\":2,\"\u{ffff}\":1}";
        assert_eq!(canonical(&value), expected);
    }

    /// The hash that Python finds:
    /// `sha256(json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()`.
    #[test]
    fn a_hash_is_that_of_the_canonical_entry() {
        let entry = AuditEntry {
            number: 7,
            time: Timestamp::from_micros(1_767_225_600_000_001),
            actor: "Zoë \"Z\"".into(),
            actor_id: "t:app".into(),
            address: Some("127.0.0.1".into()),
            action: "library.upload".into(),
            target: "a.ps1".into(),
            before: None,
            after: Some(json!({"version": 1, "file": {"size": 3, "fileName": "a.ps1"}})),
            request_id: "r".into(),
            previous: FIRST.into(),
            hash: String::new(),
        };
        let mut value = serde_json::to_value(&entry).unwrap();
        value.as_object_mut().unwrap().remove("hash");
        assert_eq!(
            canonical(&value),
            concat!(
                r#"{"action":"library.upload","actor":"Zoë \"Z\"","actorId":"t:app","address":"127.0.0.1","#,
                r#""after":{"file":{"fileName":"a.ps1","size":3},"version":1},"before":null,"number":7,"#,
                r#""previous":"0000000000000000000000000000000000000000000000000000000000000000","#,
                r#""requestId":"r","target":"a.ps1","time":"2026-01-01T00:00:00.000001Z"}"#
            )
        );
        assert_eq!(entry.expected_hash(), "3b79f2161c38304ccf85460f8fa1f7d6deab14cc47a54cf3695dc0a80209ac10");
    }
}
