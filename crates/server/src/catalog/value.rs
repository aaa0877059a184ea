//! Values and rows that both databases speak: text, bigint, boolean, bytes and null.

use super::CatalogError;

/// A parameter of a statement, or a cell of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    Null,
    Int(i64),
    Bool(bool),
    Text(String),
    Bytes(bytes::Bytes),
}

impl From<i64> for Value {
    fn from(value: i64) -> Value {
        Value::Int(value)
    }
}
impl From<bool> for Value {
    fn from(value: bool) -> Value {
        Value::Bool(value)
    }
}
impl From<&str> for Value {
    fn from(value: &str) -> Value {
        Value::Text(value.to_owned())
    }
}
impl From<String> for Value {
    fn from(value: String) -> Value {
        Value::Text(value)
    }
}
impl From<bytes::Bytes> for Value {
    fn from(value: bytes::Bytes) -> Value {
        Value::Bytes(value)
    }
}
impl From<jumpbag_wire::time::Timestamp> for Value {
    fn from(value: jumpbag_wire::time::Timestamp) -> Value {
        Value::Int(value.micros())
    }
}
impl<T: Into<Value>> From<Option<T>> for Value {
    fn from(value: Option<T>) -> Value {
        value.map_or(Value::Null, Into::into)
    }
}

/// One row, read from left to right in the order of the select list.
pub struct Row {
    cells: std::vec::IntoIter<Value>,
}

impl Row {
    pub(super) fn new(cells: Vec<Value>) -> Row {
        Row { cells: cells.into_iter() }
    }

    /// The next cell.
    ///
    /// # Errors
    /// When the row has no more cells or the cell is of another type: the statement and the code that
    /// reads it disagree.
    pub fn take<T: FromValue>(&mut self) -> Result<T, CatalogError> {
        let cell = self.cells.next().ok_or_else(|| CatalogError::Shape("row has no more cells".into()))?;
        T::from_value(cell)
    }

    pub(super) fn into_cells(self) -> Vec<Value> {
        self.cells.collect()
    }
}

pub trait FromValue: Sized {
    fn from_value(value: Value) -> Result<Self, CatalogError>;
}

fn mismatch<T>(wanted: &str, got: &Value) -> Result<T, CatalogError> {
    let got = match got {
        Value::Null => "null",
        Value::Int(_) => "bigint",
        Value::Bool(_) => "boolean",
        Value::Text(_) => "text",
        Value::Bytes(_) => "bytes",
    };
    Err(CatalogError::Shape(format!("cell is {got}, expected {wanted}")))
}

impl FromValue for i64 {
    fn from_value(value: Value) -> Result<i64, CatalogError> {
        match value {
            Value::Int(value) => Ok(value),
            other => mismatch("bigint", &other),
        }
    }
}
impl FromValue for bool {
    fn from_value(value: Value) -> Result<bool, CatalogError> {
        match value {
            Value::Bool(value) => Ok(value),
            // SQLite keeps booleans as integers.
            Value::Int(value) => Ok(value != 0),
            other => mismatch("boolean", &other),
        }
    }
}
impl FromValue for String {
    fn from_value(value: Value) -> Result<String, CatalogError> {
        match value {
            Value::Text(value) => Ok(value),
            other => mismatch("text", &other),
        }
    }
}
impl FromValue for bytes::Bytes {
    fn from_value(value: Value) -> Result<bytes::Bytes, CatalogError> {
        match value {
            Value::Bytes(value) => Ok(value),
            other => mismatch("bytes", &other),
        }
    }
}
impl FromValue for jumpbag_wire::time::Timestamp {
    fn from_value(value: Value) -> Result<Self, CatalogError> {
        i64::from_value(value).map(Self::from_micros)
    }
}
impl<T: FromValue> FromValue for Option<T> {
    fn from_value(value: Value) -> Result<Option<T>, CatalogError> {
        match value {
            Value::Null => Ok(None),
            other => T::from_value(other).map(Some),
        }
    }
}
