//! A machine as the wire shows it.

use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// The original's properties in the original's order. What is not known here is null or the neutral value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Machine {
    /// 40 lower-case hexadecimal digits: the beginning of the SHA-256 of the machine's public key.
    pub id: String,
    pub merged_into_machine_id: Option<String>,
    pub is_potential_duplication: bool,
    pub is_excluded: bool,
    pub exclusion_reason: Option<String>,
    /// Lower case.
    pub computer_dns_name: String,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub first_seen: Timestamp,
    #[cfg_attr(feature = "openapi", schema(value_type = String, format = DateTime))]
    pub last_seen: Timestamp,
    /// For example `Linux`, `Windows11`, `macOS`.
    pub os_platform: String,
    pub os_version: Option<String>,
    /// For example `x64`, `arm64`.
    pub os_processor: Option<String>,
    pub version: Option<String>,
    pub last_ip_address: Option<String>,
    pub last_external_ip_address: Option<String>,
    pub agent_version: Option<String>,
    pub os_build: Option<i64>,
    pub health_status: HealthStatus,
    /// `Normal`.
    pub device_value: String,
    pub rbac_group_id: i64,
    pub rbac_group_name: Option<String>,
    /// `None`.
    pub risk_score: String,
    /// `None`.
    pub exposure_level: String,
    pub is_aad_joined: bool,
    pub aad_device_id: Option<String>,
    pub machine_tags: Vec<String>,
    /// `NotSupported`.
    pub defender_av_status: String,
    /// `Onboarded`.
    pub onboarding_status: String,
    /// `64-bit` or `32-bit`.
    pub os_architecture: Option<String>,
    pub managed_by: String,
    pub managed_by_status: String,
    pub ip_addresses: Vec<IpAddress>,
    #[cfg_attr(feature = "openapi", schema(value_type = Option<Object>))]
    pub vm_metadata: Option<serde_json::Value>,
}

/// Whether a machine is connected, or was lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum HealthStatus {
    /// It is connected, or was within the last week.
    Active,
    Inactive,
}

/// An address of a machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct IpAddress {
    pub ip_address: String,
    /// Upper-case hexadecimal digits without separators.
    pub mac_address: Option<String>,
    /// `Ethernet`, `SoftwareLoopback`.
    #[serde(rename = "type")]
    pub kind: String,
    /// `Up` or `Down`.
    pub operational_status: String,
}

/// What an agent says of the machine it runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Facts {
    pub computer_dns_name: String,
    pub os_platform: String,
    pub os_version: Option<String>,
    pub os_processor: Option<String>,
    pub version: Option<String>,
    pub os_build: Option<i64>,
    pub os_architecture: Option<String>,
    pub agent_version: Option<String>,
    pub ip_addresses: Vec<IpAddress>,
}
