//! The entity through its life: upload, list, one, override, delete.

use serde_json::Value;

use super::post_form;
use crate::support::client::Answer;
use crate::support::form::Form;
use crate::support::postgres::postgres_database;
use crate::support::server::Jumpbag;

#[tokio::test]
async fn a_file_from_upload_to_delete() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let form = Form::new()
        .file("Triage.ps1", "Get-Process\r\n")
        .field("ParametersDescription", "-Name \"x\"")
        .field("HasParameters", "true")
        .field("OverrideIfExists", "true")
        .field("Description", "first look");
    let uploaded = post_form(&client, form).await;
    insta::assert_snapshot!(uploaded.snapshot(), @r#"
    200
    cache-control: no-cache
    content-type: application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8
    odata-version: 4.0
    request-id: [id-1]

    {
      "@odata.context": "[host]/api/$metadata#LibraryFiles/$entity",
      "fileName": "Triage.ps1",
      "sha256": "da76b4e294e6ce3c346387ea6533dfa1346cfc72c86fae87dff9a1c833179da2",
      "description": "first look",
      "creationTime": "[time-1]",
      "lastUpdatedTime": "[time-1]",
      "createdBy": "test Library.Manage",
      "hasParameters": true,
      "parametersDescription": "-Name \"x\"",
      "id": "4",
      "size": 13,
      "version": 1,
      "tags": [],
      "platforms": [],
      "category": null,
      "instructions": null,
      "legalHold": false
    }
    "#);

    insta::assert_snapshot!(client.get("/api/libraryfiles").await.snapshot(), @r#"
    200
    cache-control: no-cache
    content-type: application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8
    odata-version: 4.0
    request-id: [id-1]
    vary: Accept-Encoding

    {
      "@odata.context": "[host]/api/$metadata#LibraryFiles",
      "value": [
        {
          "fileName": "Triage.ps1",
          "sha256": "da76b4e294e6ce3c346387ea6533dfa1346cfc72c86fae87dff9a1c833179da2",
          "description": "first look",
          "creationTime": "[time-1]",
          "lastUpdatedTime": "[time-1]",
          "createdBy": "test Library.Manage",
          "hasParameters": true,
          "parametersDescription": "-Name \"x\"",
          "id": "4",
          "size": 13,
          "version": 1,
          "tags": [],
          "platforms": [],
          "category": null,
          "instructions": null,
          "legalHold": false
        }
      ]
    }
    "#);

    let one = client.get("/api/libraryfiles/triage.PS1").await;
    assert_eq!(one.text(), uploaded.text(), "the entity is the same everywhere");

    let replaced = client.upload("triage.PS1", "Get-Service").override_if_exists().await;
    insta::assert_snapshot!(replaced.snapshot(), @r#"
    200
    cache-control: no-cache
    content-type: application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8
    odata-version: 4.0
    request-id: [id-1]

    {
      "@odata.context": "[host]/api/$metadata#LibraryFiles/$entity",
      "fileName": "triage.PS1",
      "sha256": "bc0ee9eff8e7995854a4b4ccfa187251ce9895d60427bd77d3f9afc120629e87",
      "description": null,
      "creationTime": "[time-1]",
      "lastUpdatedTime": "[time-2]",
      "createdBy": "test Library.Manage",
      "hasParameters": false,
      "parametersDescription": null,
      "id": "4",
      "size": 11,
      "version": 2,
      "tags": [],
      "platforms": [],
      "category": null,
      "instructions": null,
      "legalHold": false
    }
    "#);

    insta::assert_snapshot!(client.delete("/api/libraryfiles/TRIAGE.ps1").await.snapshot(), @r#"
    204
    request-id: [id-1]
    "#);
    insta::assert_snapshot!(client.delete("/api/libraryfiles/TRIAGE.ps1").await.snapshot(), @r#"
    404
    content-type: application/json; charset=utf-8
    request-id: [id-1]

    {
      "error": {
        "code": "ResourceNotFound",
        "message": "Library file TRIAGE.ps1 was not found",
        "target": "[id-1]"
      }
    }
    "#);
    insta::assert_snapshot!(client.get("/api/libraryfiles/TRIAGE.ps1").await.snapshot(), @r#"
    404
    content-type: application/json; charset=utf-8
    request-id: [id-1]

    {
      "error": {
        "code": "ResourceNotFound",
        "message": "Library file TRIAGE.ps1 was not found",
        "target": "[id-1]"
      }
    }
    "#);
    insta::assert_snapshot!(client.get("/api/libraryfiles").await.snapshot(), @r#"
    200
    cache-control: no-cache
    content-type: application/json; odata.metadata=minimal; odata.streaming=true; charset=utf-8
    odata-version: 4.0
    request-id: [id-1]
    vary: Accept-Encoding

    {
      "@odata.context": "[host]/api/$metadata#LibraryFiles",
      "value": []
    }
    "#);
}

#[tokio::test]
async fn a_taken_name_is_refused_in_words_that_clients_look_for() {
    let bag = Jumpbag::start().await;
    bag.upload("a.ps1", "1").await.expect_status(200);
    let refused = bag.upload("A.PS1", "2").await;
    insta::assert_snapshot!(refused.snapshot(), @r#"
    400
    content-type: application/json; charset=utf-8
    request-id: [id-1]

    {
      "error": {
        "code": "InvalidInput",
        "message": "Library file A.PS1 already exists. Set OverrideIfExists to true to replace it",
        "target": "[id-1]"
      }
    }
    "#);
    assert!(refused.error_message().contains("already exists"));
}

#[tokio::test]
async fn an_override_keeps_who_and_when_and_moves_the_rest() {
    let bag = Jumpbag::start().await;
    let first = bag
        .upload("a.ps1", "1")
        .description("one")
        .parameters_description("p")
        .await
        .expect_status(200)
        .json();
    assert_eq!(first["creationTime"], first["lastUpdatedTime"]);
    let other = bag.register("somebody else", &["Library.Manage"]).await;
    let token = bag.request_token(&other).await.json()["access_token"].clone();
    let other = bag.anonymous().with_token(token.as_str().expect("a token"));
    let second = other.upload("A.ps1", "22").override_if_exists().await.expect_status(200).json();
    for kept in ["id", "creationTime", "createdBy"] {
        assert_eq!(second[kept], first[kept], "{kept}");
    }
    assert_eq!(first["createdBy"], "test Library.Manage");
    assert!(time(&second["lastUpdatedTime"]) > time(&first["lastUpdatedTime"]));
    // Nothing of the former version shines through.
    assert_eq!(second["fileName"], "A.ps1");
    assert_eq!(second["description"], Value::Null);
    assert_eq!(second["parametersDescription"], Value::Null);
    assert_eq!(second["hasParameters"], false);
    assert_eq!(second["size"], 2);

    bag.delete("a.ps1").await.expect_status(204);
    let third = other.upload("a.ps1", "1").await.expect_status(200).json();
    assert_ne!(third["id"], first["id"], "a name that was deleted and comes again is another file");
    assert_eq!(third["createdBy"], "somebody else");
    assert!(time(&third["creationTime"]) > time(&second["lastUpdatedTime"]));
    assert_eq!(third["sha256"], first["sha256"]);
}

fn time(value: &Value) -> chrono::DateTime<chrono::Utc> {
    let text = value.as_str().expect("a time");
    assert!(text.ends_with('Z') && !text.ends_with("0Z"), "{text}");
    text.parse().expect("an RFC 3339 time")
}

#[tokio::test]
async fn empty_texts_are_null_and_has_parameters_is_a_field_of_its_own() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let upload = async |name: &str, fields: &[(&str, &str)]| -> Value {
        let form =
            fields.iter().fold(Form::new().file(name, "x"), |form, (name, value)| form.field(name, value));
        let entity = post_form(&client, form).await.expect_status(200).json();
        let listed = client.get(&format!("/api/libraryfiles/{name}")).await.json();
        assert_eq!(entity, listed);
        entity
    };
    let empty =
        upload("empty", &[("Description", ""), ("ParametersDescription", ""), ("HasParameters", "")]).await;
    assert_eq!(empty["description"], Value::Null);
    assert_eq!(empty["parametersDescription"], Value::Null);
    assert_eq!(empty["hasParameters"], false);
    let blank = upload("blank", &[("Description", " ")]).await;
    assert_eq!(blank["description"], " ", "only what is empty is nothing");
    for (name, fields, wanted) in [
        ("described", vec![("ParametersDescription", "-X")], true),
        ("said", vec![("HasParameters", "True")], true),
        ("said-no", vec![("ParametersDescription", "-X"), ("HasParameters", "FALSE")], false),
        ("neither", vec![("Description", "d")], false),
        ("undecided", vec![("ParametersDescription", "-X"), ("HasParameters", "")], true),
    ] {
        assert_eq!(upload(name, &fields).await["hasParameters"], wanted, "{name}");
    }
    let words = "Zeile 1\r\nZeile 2\t„Ü“ 脚本 🙂 \"quoted\" \\ <b>";
    assert_eq!(upload("words", &[("Description", words)]).await["description"], words);
}

#[tokio::test]
async fn names_are_one_whatever_their_case() {
    let database = postgres_database().await;
    let on_postgres = Jumpbag::options().set("database_url", &database.url).start().await;
    for bag in [Jumpbag::start().await, on_postgres] {
        for (first, second, encoded) in [
            ("Straße-ÄÖÜ.ps1", "straße-äöü.PS1", "STRA%C3%9FE-%C3%84%C3%96%C3%9C.ps1"),
            ("ΑΒΓ.sh", "αβγ.SH", "%CE%91%CE%B2%CE%B3.sh"),
            ("Скрипт", "СКРИПТ", "%D1%81%D0%BA%D1%80%D0%B8%D0%BF%D1%82"),
        ] {
            bag.upload(first, "1").await.expect_status(200);
            let refused = bag.upload(second, "2").await;
            assert_eq!((refused.status, refused.error_code().as_str()), (400, "InvalidInput"), "{second}");
            assert_eq!(bag.names().await, [first]);
            bag.upload(second, "2").override_if_exists().await.expect_status(200);
            assert_eq!(bag.names().await, [second], "the newest spelling stands");
            bag.delete(encoded).await.expect_status(204);
        }
        assert!(bag.names().await.is_empty());
    }
}

#[tokio::test]
async fn the_list_goes_by_name_ignoring_case() {
    let bag = Jumpbag::start().await;
    for name in ["b.ps1", "C.ps1", "a.ps1", "Ä.ps1", "_.ps1", "B2.ps1"] {
        bag.upload(name, "x").await.expect_status(200);
    }
    assert_eq!(bag.names().await, ["_.ps1", "a.ps1", "b.ps1", "B2.ps1", "C.ps1", "Ä.ps1"]);
}

/// Without an override exactly one of many uploads of one name wins, and the library is that one's.
#[tokio::test]
async fn one_of_32_racers_wins() {
    let database = postgres_database().await;
    let on_postgres = Jumpbag::options().set("database_url", &database.url);
    for options in [Jumpbag::options(), on_postgres] {
        let bag = options.set("rate_limits", false).start().await;
        let client = bag.client().await;
        for (round, size) in [10, 100_000].into_iter().enumerate() {
            let name = format!("raced-{round}.ps1");
            let racers = (0..32_u8).map(|racer| client.upload(&name, vec![racer; size]).into_future());
            let answers: Vec<Answer> = futures_util::future::join_all(racers).await;
            let (won, lost): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
            assert_eq!((won.len(), lost.len()), (1, 31));
            for answer in lost {
                assert_eq!((answer.status, answer.error_code().as_str()), (400, "InvalidInput"));
                assert!(answer.error_message().contains("already exists"));
            }
            let kept = client.get(&format!("/api/libraryfiles/{name}")).await.expect_status(200);
            assert_eq!(kept.json(), won[0].json());
        }
        let (status, report, _) = bag.command(&["check", "--repair"]).await;
        assert!(status.success() && report.contains("0 problems, 0 ownerless"), "{report}");
    }
}
