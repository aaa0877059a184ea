//! Azure Blob Storage: a fresh container for each test on one shared Azurite.

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use object_store::azure::{MicrosoftAzure, MicrosoftAzureBuilder};

use super::shared::shared_server;

/// An empty container.
#[derive(Clone, Debug)]
pub struct Container {
    pub endpoint: String,
    pub container: String,
    pub account: String,
    pub key: String,
}

impl Container {
    /// What `blob_url` takes.
    pub fn url(&self, prefix: &str) -> String {
        format!("az://{}/{prefix}", self.container)
    }

    /// What `blob_options` takes, by name and value.
    pub fn options(&self) -> [(&'static str, String); 4] {
        [
            ("azure_endpoint", format!("{}/{}", self.endpoint, self.account)),
            ("azure_storage_account_name", self.account.clone()),
            ("azure_storage_account_key", self.key.clone()),
            ("azure_allow_http", "true".into()),
        ]
    }

    /// A client that looks at the container behind the server's back.
    pub fn store(&self) -> MicrosoftAzure {
        super::install_crypto();
        let options =
            self.options().into_iter().map(|(name, value)| (name.parse().expect("an option"), value));
        options
            .fold(
                MicrosoftAzureBuilder::new().with_container_name(&self.container),
                |builder, (option, value)| builder.with_config(option, value),
            )
            .build()
            .expect("a complete Azure configuration")
    }
}

/// A fresh, empty container.
pub async fn azure_container() -> Container {
    let shared = shared_server("azurite").await;
    let container = Container {
        endpoint: shared.url,
        container: super::unique("test"),
        account: shared.access_key,
        key: shared.secret_key,
    };
    create(&container).await;
    container
}

/// Creates it with a SharedKey signature: the object store's client knows blobs only, not containers.
async fn create(container: &Container) {
    let Container { endpoint, container, account, key } = container;
    let date = chrono::Utc::now().format("%a, %d %b %Y %H:%M:%S GMT").to_string();
    let version = "2021-08-06";
    // Twelve standard headers, all empty; then the headers of Azure; then the resource, whose path has the account
    // twice because it is part of this server's addresses.
    let signed = format!(
        "PUT{}x-ms-date:{date}\nx-ms-version:{version}\n/{account}/{account}/{container}\nrestype:container",
        "\n".repeat(12)
    );
    let key = hmac::Key::new(hmac::HMAC_SHA256, &STANDARD.decode(key).expect("the account key is base64"));
    let signature = STANDARD.encode(hmac::sign(&key, signed.as_bytes()));
    let answer = super::client::plain_http()
        .put(format!("{endpoint}/{account}/{container}?restype=container"))
        .header("x-ms-date", date)
        .header("x-ms-version", version)
        .header("authorization", format!("SharedKey {account}:{signature}"))
        .header("content-length", "0")
        .send()
        .await
        .expect("reach Azurite");
    assert_eq!(answer.status(), 201, "create a container on Azurite: {:?}", answer.text().await);
}
