//! What the service says of itself: service document, metadata and OpenAPI.

use std::sync::{Arc, LazyLock};

use axum::Extension;
use axum::response::{IntoResponse, Response};
use http::header;
use serde_json::json;

use super::answer::odata;
use super::edge::Context;
use crate::library::SET;
use crate::odata::Kind;

/// The service document: which collections there are.
#[utoipa::path(
    get, path = "/api", tag = "metadata", operation_id = "getServiceDocument",
    responses((status = 200, description = "OData service document"))
)]
pub async fn service(Extension(context): Extension<Arc<Context>>) -> Response {
    let document = json!({
        "@odata.context": format!("{}/api/$metadata", context.base),
        "value": [{ "name": SET.name, "kind": "EntitySet", "url": SET.name }],
    });
    odata(document.to_string().into())
}

/// The metadata document: what the entities are made of.
#[utoipa::path(
    get, path = "/api/$metadata", tag = "metadata", operation_id = "getMetadata",
    responses((status = 200, description = "CSDL 4.0 document", content_type = "application/xml"))
)]
pub async fn metadata() -> Response {
    let headers = [
        (header::CONTENT_TYPE, "application/xml"),
        (header::HeaderName::from_static("odata-version"), "4.0"),
    ];
    (headers, csdl()).into_response()
}

/// The OpenAPI document of this server.
pub async fn openapi() -> Response {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| {
        super::openapi().to_pretty_json().unwrap_or_else(|e| format!("{{\"error\": \"{e}\"}}"))
    });
    ([(header::CONTENT_TYPE, "application/json")], DOCUMENT.as_str()).into_response()
}

/// Properties that may be null.
const NULLABLE: [&str; 4] = ["description", "parametersDescription", "category", "instructions"];

fn csdl() -> String {
    let properties: String = SET
        .properties
        .iter()
        .map(|property| {
            let kind = match property.kind {
                Kind::Text => "Edm.String",
                Kind::Bool => "Edm.Boolean",
                Kind::Int => "Edm.Int64",
                Kind::Time => "Edm.DateTimeOffset",
                Kind::Texts => "Collection(Edm.String)",
                Kind::Shown => "Edm.Untyped",
            };
            let nullable = NULLABLE.contains(&property.name);
            format!(
                "        <Property Name=\"{}\" Type=\"{kind}\" Nullable=\"{nullable}\"/>\n",
                property.name
            )
        })
        .collect();
    format!(
        r#"<?xml version="1.0" encoding="utf-8"?>
<edmx:Edmx Version="4.0" xmlns:edmx="http://docs.oasis-open.org/odata/ns/edmx">
  <edmx:DataServices>
    <Schema Namespace="microsoft.windowsDefenderATP.api" xmlns="http://docs.oasis-open.org/odata/ns/edm">
      <EntityType Name="LibraryFile">
        <Key>
          <PropertyRef Name="fileName"/>
        </Key>
{properties}      </EntityType>
      <EntityContainer Name="Container">
        <EntitySet Name="{}" EntityType="microsoft.windowsDefenderATP.api.LibraryFile"/>
      </EntityContainer>
    </Schema>
  </edmx:DataServices>
</edmx:Edmx>
"#,
        SET.name
    )
}
