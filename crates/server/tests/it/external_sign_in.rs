//! Signing in to the console with a real OpenID provider elsewhere, as people do and as attackers would.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;
use sha2::{Digest as _, Sha256};

use crate::console::{begin_at, ends_well};
use crate::support::browser::{Browser, Shown};
use crate::support::client::Answer;
use crate::support::oidc::OidcProvider;
use crate::support::poll::eventually;
use crate::support::server::Jumpbag;

const ERRAND: &str = "jumpbag-errand";
const CONSOLE: &str = "jumpbag-console";

/// A server that people can sign in to with a provider.
struct House {
    bag: Jumpbag,
    provider: OidcProvider,
}

impl House {
    async fn new() -> House {
        House::with("").await
    }

    /// `more` goes into the table of the sign-in.
    async fn with(more: &str) -> House {
        let provider = OidcProvider::start().await;
        let config = format!(
            "[[issuers]]\nissuer = \"{}\"\naudiences = [\"{}\"]\nallow_http_loopback = true\n[issuers.sign_in]\n\
             name = \"Contoso <b>\"\nid = \"contoso\"\nclient_id = \"{}\"\nclient_secret = \"{}\"\n{more}\n",
            provider.issuer(),
            OidcProvider::AUDIENCE,
            provider.client_id(),
            provider.client_secret()
        );
        let bag = Jumpbag::options().config(&config).start().await;
        provider.lead_back_to(&format!("{}/signin/contoso/callback", bag.url())).await;
        House { bag, provider }
    }

    fn browser(&self) -> Browser {
        Browser::new(self.bag.anonymous())
    }

    /// Out to the provider and back; the path that the provider sends the browser to.
    async fn errand(&self, browser: &mut Browser, to: &str) -> String {
        let out = browser.get(to).await;
        let back = self.provider.visit(&out.sent_to()).await;
        back.strip_prefix(&self.bag.url()).unwrap_or_else(|| panic!("sent to {back}")).to_owned()
    }

    async fn sign_in(&self, browser: &mut Browser) -> Shown {
        let back = self.errand(browser, "/signin/contoso?to=%2Faudit").await;
        browser.get(&back).await
    }

    async fn call(&self, browser: &Browser, path: &str) -> Answer {
        browser.calls(self.bag.anonymous().get(path)).await
    }

    async fn assert_out(&self, browser: &Browser) {
        assert!(!browser.cookies.contains_key(CONSOLE), "{:?}", browser.cookies);
        self.call(browser, "/session").await.expect_status(401);
    }
}

#[tokio::test]
async fn whoever_the_provider_knows_is_let_in_with_what_its_token_grants() {
    let house = House::new().await;
    house.provider.configure(json!({ "roles": ["Library.Read", "Something.Else"] })).await;
    let mut browser = house.browser();
    let page = browser.get("/signin?to=%2Faudit").await;
    let html = page.answer.text();
    assert!(
        html.contains("href=\"/signin/contoso?to=%2Faudit\">Sign in with Contoso &lt;b&gt;</a>"),
        "{html}"
    );
    // Nobody has a password here, so none is asked for.
    assert!(!html.contains("name=\"password\""), "{html}");

    let shown = house.sign_in(&mut browser).await;
    assert_eq!(shown.sent_to(), "/audit");
    let set: Vec<_> =
        shown.answer.headers.get_all("set-cookie").iter().map(|v| v.to_str().unwrap()).collect();
    assert!(
        set.iter().any(|line| line.starts_with(CONSOLE) && line.contains("HttpOnly; SameSite=Strict")),
        "{set:?}"
    );
    assert_eq!(
        browser.cookies.keys().filter(|name| name.starts_with("jumpbag")).collect::<Vec<_>>(),
        [CONSOLE]
    );

    let who = house.call(&browser, "/session").await.expect_status(200).json();
    assert_eq!(who, json!({ "name": "Alice Liddell", "permissions": ["Library.Read"] }));
    house.call(&browser, "/api/libraryfiles").await.expect_status(200);
    house.call(&browser, "/api/audit").await.expect_status(403);
    // Who has signed in already goes on.
    assert_eq!(browser.get("/signin?to=%2Fdeleted").await.sent_to(), "/deleted");

    let page = browser.clone().get("/signin").await;
    assert_eq!(page.answer.status, 303);
    browser.calls(house.bag.anonymous().post("/signout")).await.expect_status(303);
    house.call(&browser, "/session").await.expect_status(401);

    let log = house.bag.caller(&["Audit.Read"]).await;
    let log =
        log.get("/api/audit?$filter=startswith(action,'user.')&$orderby=number").await.expect_status(200);
    let told: Vec<_> =
        log.value().iter().map(|entry| (entry["action"].clone(), entry["target"].clone())).collect();
    let alice = json!("alice@example.org");
    assert_eq!(told, [(json!("user.sign-in"), alice.clone()), (json!("user.sign-out"), alice)]);
    let entry = &log.value()[0];
    assert_eq!(entry["actor"], "Alice Liddell");
    assert_eq!(entry["actorId"], format!("user {} u-1", house.provider.issuer()));
    assert_eq!(entry["after"]["permissions"], json!(["Library.Read"]));
}

/// The issuer is another site there, as it is for people: which cookies come along is up to the browser.
#[tokio::test]
async fn heavy_signing_in_elsewhere_in_a_browser() {
    let house = House::new().await;
    let base = house.bag.url().replace("127.0.0.1", "localhost");
    house.provider.lead_back_to(&format!("{base}/signin/contoso/callback")).await;
    ends_well(begin_at(&base, "elsewhere", "-", &[house.provider.issuer()])).await;
}

#[tokio::test]
async fn what_is_uploaded_at_the_console_bears_the_name_that_the_provider_gives() {
    let house = House::new().await;
    let mut browser = house.browser();
    house.sign_in(&mut browser).await;
    let form = reqwest::multipart::Form::new()
        .part("file", reqwest::multipart::Part::bytes(b"x".as_slice()).file_name("a.ps1"));
    let upload = house.bag.anonymous().post("/api/libraryfiles").with(|request| request.multipart(form));
    let upload = browser.calls(upload);
    assert_eq!(upload.await.expect_status(200).json()["createdBy"], "Alice Liddell");
}

#[tokio::test]
async fn permissions_may_stand_in_the_id_token_and_the_secret_in_the_header() {
    let house = House::with("permissions_from = \"id_token\"").await;
    house.provider.configure(json!({ "method": "client_secret_basic" })).await;
    // An access token that is for somebody else does not matter then.
    house.provider.configure(json!({ "audience": "https://elsewhere.example" })).await;
    let mut browser = house.browser();
    assert_eq!(house.sign_in(&mut browser).await.sent_to(), "/audit");
    let who = house.call(&browser, "/session").await.expect_status(200).json();
    assert_eq!(who, json!({ "name": "Alice Liddell", "permissions": ["Library.Manage"] }));
}

#[tokio::test]
async fn an_access_token_for_somebody_else_lets_nobody_in() {
    let house = House::new().await;
    house.provider.configure(json!({ "audience": "https://elsewhere.example" })).await;
    let mut browser = house.browser();
    let shown = house.sign_in(&mut browser).await;
    let why = "The access token of Contoso <b> does not count here: the token is for another audience.";
    assert_eq!((shown.answer.status, shown.alert().as_deref()), (403, Some(why)));
    house.assert_out(&browser).await;
}

#[tokio::test]
async fn whoever_may_do_nothing_here_is_told_whom_to_ask() {
    let house = House::new().await;
    house.provider.configure(json!({ "roles": ["library.manage", "Library.Manage "] })).await;
    let mut browser = house.browser();
    let shown = house.sign_in(&mut browser).await;
    assert_eq!(shown.answer.status, 403);
    let why = shown.alert().expect("why");
    assert!(why.contains("you are alice@example.org") && why.contains("Library.Manage"), "{why}");
    house.assert_out(&browser).await;
}

#[tokio::test]
async fn a_provider_that_says_no_is_quoted_and_no_more() {
    let house = House::new().await;
    house.provider.configure(json!({ "user": null })).await;
    let mut browser = house.browser();
    let shown = house.sign_in(&mut browser).await;
    assert_eq!(shown.answer.status, 403);
    assert_eq!(
        shown.alert().as_deref(),
        Some("Contoso <b> did not sign you in: access_denied: not today <b>.")
    );
    assert!(!shown.answer.text().contains("<b>"));
    house.assert_out(&browser).await;
}

#[tokio::test]
async fn a_provider_that_is_down_is_said_to_be_and_the_page_still_shows() {
    let house = House::new().await;
    house.provider.down().await;
    let mut browser = house.browser();
    let shown = browser.get("/signin/contoso").await;
    assert_eq!(shown.answer.status, 403);
    let why = shown.alert().expect("why");
    assert!(why.starts_with("Contoso <b> cannot sign you in now:"), "{why}");
    assert_eq!(browser.get("/signin").await.answer.status, 200);
    house.provider.up().await;
    // It is asked again after a moment.
    let back = async || (browser.clone().get("/signin/contoso").await.answer.status == 303).then_some(());
    eventually("people are sent out again", back).await;
    assert_eq!(house.sign_in(&mut browser).await.sent_to(), "/audit");
    for nobody in ["/signin/other", "/signin/contoso2", "/signin/contoso%20"] {
        assert_eq!(browser.get(nobody).await.answer.status, 404, "{nobody}");
    }
}

/// The answer of a sign-in that another browser began, or nobody, counts for nothing.
#[tokio::test]
async fn an_answer_counts_for_the_browser_that_asked_and_once() {
    let house = House::new().await;
    let mut mallory = house.browser();
    let back = house.errand(&mut mallory, "/signin/contoso").await;
    // Mallory's own sign-in, slipped to Alice: with no errand of hers, and with another one.
    let mut alice = house.browser();
    assert_eq!(alice.get(&back).await.answer.status, 403);
    house.assert_out(&alice).await;
    house.errand(&mut alice, "/signin/contoso").await;
    assert_eq!(alice.get(&back).await.answer.status, 403);
    house.assert_out(&alice).await;
    // What is altered on the way does not count either.
    for (part, other) in [("state=", "state=x"), ("iss=http", "iss=https"), ("code=", "code=x")] {
        let mut browser = house.browser();
        let back = house.errand(&mut browser, "/signin/contoso").await;
        let shown = browser.get(&back.replace(part, other)).await;
        assert_eq!(shown.answer.status, 403, "{part}: {}", shown.answer.text());
        house.assert_out(&browser).await;
        // A failed answer ends the errand.
        assert!(!browser.cookies.contains_key(ERRAND));
    }
    // The provider says that it names itself in its answers: one without its name is not its.
    let mut browser = house.browser();
    let back = house.errand(&mut browser, "/signin/contoso").await;
    let nameless: String =
        back.split('&').filter(|part| !part.starts_with("iss=")).collect::<Vec<_>>().join("&");
    assert_ne!(nameless, back);
    assert_eq!(browser.get(&nameless).await.answer.status, 403);
    house.assert_out(&browser).await;
    // The right one counts, and no second time.
    let errand = mallory.cookies[ERRAND].clone();
    assert_eq!(mallory.get(&back_with(&back, &house, &mut mallory.clone()).await).await.answer.status, 403);
    mallory.cookies.insert(ERRAND.into(), errand.clone());
    let back = house.errand(&mut mallory, "/signin/contoso").await;
    let errand = mallory.cookies[ERRAND].clone();
    assert_eq!(mallory.get(&back).await.sent_to(), "/");
    let mut again = house.browser();
    again.cookies.insert(ERRAND.into(), errand);
    let shown = again.get(&back).await;
    assert_eq!(shown.answer.status, 403);
    assert!(shown.alert().expect("why").contains("refuses the code"), "{:?}", shown.alert());
    house.assert_out(&again).await;
}

#[tokio::test]
async fn a_code_goes_to_the_provider_that_gave_it_and_to_no_other() {
    let house = House::new().await;
    let mut browser = house.browser();
    let back = house.errand(&mut browser, "/signin/contoso").await;
    let before = house.provider.counts().await.token;
    let elsewhere = back.replace("/signin/contoso/", "/signin/other/");
    assert_eq!(browser.get(&elsewhere).await.answer.status, 403);
    assert_eq!(house.provider.counts().await.token, before);
    house.assert_out(&browser).await;
}

/// Who makes up errands has the server ask the provider about codes: not for long.
#[tokio::test]
async fn made_up_answers_are_slowed_down_as_passwords_are() {
    let house = House::new().await;
    let before = house.provider.counts().await.token;
    let secret = "jb_0000000000000000000000000000000000000000000";
    let state = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{secret} state contoso /")));
    let issuer: String = url::form_urlencoded::byte_serialize(house.provider.issuer().as_bytes()).collect();
    let mut statuses = Vec::new();
    for n in 0..30 {
        let mut browser = house.browser();
        browser.cookies.insert(ERRAND.into(), format!("{secret}.contoso.{}", URL_SAFE_NO_PAD.encode("/")));
        let back = format!("/signin/contoso/callback?code=made-up-{n}&state={state}&iss={issuer}");
        statuses.push(browser.get(&back).await.answer.status);
    }
    assert_eq!(statuses[..20], [403; 20]);
    assert!(statuses.contains(&429), "{statuses:?}");
    let asked = house.provider.counts().await.token - before;
    assert!((20..30).contains(&asked), "{asked} codes were asked about");
}

/// However many come, a provider that is no use is asked once in a while.
#[tokio::test]
async fn a_provider_that_is_no_use_is_not_asked_by_everybody_at_once() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = std::sync::Arc::clone(&asked);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            drop(stream);
        }
    });
    let config = format!(
        "issuers = [{{ issuer = \"http://{address}\", audiences = [\"a\"], allow_http_loopback = true, \
         sign_in = {{ name = \"Down\", client_id = \"x\" }} }}]\n"
    );
    let bag = Jumpbag::options().config(&config).start().await;
    let calls = (0..40).map(|_| bag.anonymous().get("/signin/down").into_future());
    for answer in futures_util::future::join_all(calls).await {
        assert_eq!(answer.status, 403);
        assert!(!answer.text().contains("openid-configuration"), "{}", answer.text());
    }
    let asked = asked.load(std::sync::atomic::Ordering::SeqCst);
    // One question, which the client may repeat when its connection is closed.
    assert!((1..=3).contains(&asked), "asked {asked} times");
}

/// Whichever way somebody signs in, what the browser had before is over.
#[tokio::test]
async fn a_sign_in_of_the_other_kind_ends_the_one_before() {
    let house = House::new().await;
    crate::sign_in::add_user(&house.bag, "bob", &["--permission", "Library.Read"]).await;
    let local = async |browser: &mut Browser| {
        let page = browser.get("/signin?again").await;
        let filled = [("username", "bob"), ("password", crate::sign_in::PASSWORD)];
        browser.submit("/signin", &page, &filled).await;
    };
    let mut browser = house.browser();
    let form = browser.get("/signin").await;
    local(&mut browser).await;
    let first = browser.clone();
    house.call(&first, "/session").await.expect_status(200);
    house.sign_in(&mut browser).await;
    let second = browser.clone();
    assert_eq!(house.call(&second, "/session").await.expect_status(200).json()["name"], "Alice Liddell");
    house.call(&first, "/session").await.expect_status(401);
    // The form of before is still open in another tab.
    let filled = [("username", "bob"), ("password", crate::sign_in::PASSWORD)];
    browser.submit("/signin", &form, &filled).await;
    assert_eq!(house.call(&browser, "/session").await.expect_status(200).json()["name"], "bob");
    house.call(&second, "/session").await.expect_status(401);
}

/// The same answer with another errand's state.
async fn back_with(back: &str, house: &House, browser: &mut Browser) -> String {
    let other = house.errand(browser, "/signin/contoso").await;
    let state = |path: &str| {
        path.split(['?', '&']).find(|part| part.starts_with("state=")).expect("a state").to_owned()
    };
    back.replace(&state(back), &state(&other))
}

/// What goes out with the browser and is altered on the way comes back as what does not count.
#[tokio::test]
async fn the_id_token_is_of_this_errand_and_the_code_too() {
    let house = House::new().await;
    for (part, why) in [
        ("nonce=", "The id token of Contoso <b> does not count here: the id token is none of this sign-in."),
        ("code_challenge=", "refuses the code"),
    ] {
        let mut browser = house.browser();
        let out = browser.get("/signin/contoso").await.sent_to();
        let value: String =
            out.split(part).nth(1).expect("a value").chars().take_while(|c| *c != '&').collect();
        // Another value of the same form: 43 characters of base64url.
        let out = out.replace(&value, &"A".repeat(43));
        let back = house.provider.visit(&out).await;
        let shown = browser.get(back.strip_prefix(&house.bag.url()).expect("here")).await;
        assert_eq!(shown.answer.status, 403, "{part}");
        assert!(shown.alert().expect("why").contains(why), "{:?}", shown.alert());
        house.assert_out(&browser).await;
    }
}

#[tokio::test]
async fn a_sign_in_elsewhere_leads_to_no_other_site() {
    let house = House::new().await;
    for evil in ["https%3A%2F%2Fevil.example%2F", "%2F%2Fevil.example", "%2F%5Cevil.example"] {
        let mut browser = house.browser();
        let back = house.errand(&mut browser, &format!("/signin/contoso?to={evil}")).await;
        assert_eq!(browser.get(&back).await.sent_to(), "/", "{evil}");
    }
    // Whoever can plant cookies can make a state that fits: it leads nowhere else all the same.
    let mut browser = house.browser();
    let back = house.errand(&mut browser, "/signin/contoso").await;
    let secret = browser.cookies[ERRAND].split('.').next().expect("a secret").to_owned();
    let to = "https://evil.example/";
    browser.cookies.insert(ERRAND.into(), format!("{secret}.contoso.{}", URL_SAFE_NO_PAD.encode(to)));
    let state = URL_SAFE_NO_PAD.encode(Sha256::digest(format!("{secret} state contoso {to}")));
    let back: Vec<_> = back
        .split('&')
        .map(|part| if part.starts_with("state=") { format!("state={state}") } else { part.to_owned() })
        .collect();
    assert_eq!(browser.get(&back.join("&")).await.sent_to(), "/");
}

#[tokio::test]
async fn another_site_cannot_send_people_out() {
    let house = House::new().await;
    for (site, status) in [("cross-site", 403), ("same-site", 403), ("same-origin", 303), ("none", 303)] {
        let out = house.bag.anonymous().get("/signin/contoso");
        let out = out.with(|request| request.header("sec-fetch-site", site)).await.expect_status(status);
        assert_eq!(out.header("set-cookie").is_some(), status == 303, "{site}");
        assert_eq!(out.header("location").is_some(), status == 303, "{site}");
    }
}

#[tokio::test]
async fn a_session_ends_with_its_time_and_with_the_trust_in_its_issuer() {
    let house = House::new().await;
    let mut browser = house.browser();
    house.sign_in(&mut browser).await;
    let minutes = |bag: &Jumpbag| -> i64 {
        let database = rusqlite::Connection::open(bag.data_dir().join("catalog.db")).expect("the database");
        let sql = "select (expires_at - created_at) / 60000000 from external_sessions";
        database.query_row(sql, [], |row| row.get(0)).expect("a session")
    };
    assert_eq!(minutes(&house.bag), 60);
    let change = |sql: &str| {
        let database =
            rusqlite::Connection::open(house.bag.data_dir().join("catalog.db")).expect("the database");
        assert_eq!(database.execute(sql, []).expect("a change"), 1);
    };
    house.call(&browser, "/api/libraryfiles").await.expect_status(200);
    for (wrong, right) in [
        ("expires_at = created_at", "expires_at = created_at + 3600000000"),
        ("seen_at = seen_at - 3600000000", "seen_at = created_at"),
        ("issuer = 'https://gone.example'", "issuer = issuer"),
    ] {
        change(&format!("update external_sessions set {wrong}"));
        house.call(&browser, "/api/libraryfiles").await.expect_status(401);
        change(&format!("update external_sessions set {right}"));
    }
    house.call(&browser, "/api/libraryfiles").await.expect_status(401);
    let issuer = house.provider.issuer();
    change(&format!("update external_sessions set issuer = '{issuer}'"));
    house.call(&browser, "/api/libraryfiles").await.expect_status(200);
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_and_secrets_are_not_shown() {
    let table = |sign_in: &str| {
        format!(
            "issuers = [{{ issuer = \"https://login.example\", audiences = [\"a\"], sign_in = {{ {sign_in} }} }}]\n"
        )
    };
    for (sign_in, problem) in [
        ("name = \"x\"", "client_id"),
        ("name = \"\", client_id = \"x\"", "`sign_in.name` is empty"),
        ("name = \"x\", id = \"a/b\", client_id = \"x\"", "`sign_in.id` is `a/b`"),
        ("name = \"x\", client_id = \"x\", scopes = [\"profile\"]", "lacks `openid`"),
        ("name = \"x\", client_id = \"x\", session_minutes = 721", "from 1 to 720"),
        ("name = \"x\", client_id = \"x\", permissions_from = \"userinfo\"", "userinfo"),
        ("name = \"x\", client_id = \"x\", client_secret_file = \"/nowhere\"", "cannot read `/nowhere`"),
        ("name = \"x\", client_id = \"x\", client_secrets = \"hush\"", "client_secrets"),
    ] {
        let (status, stderr) = Jumpbag::options().config(&table(sign_in)).fail_to_start().await;
        assert!(!status.success() && stderr.contains("`issuers`") && stderr.contains(problem), "{stderr}");
        assert!(!stderr.contains("hush"), "{stderr}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let options =
        Jumpbag::options().config(&table("name = \"x\", client_id = \"x\", client_secret = \"hush\""));
    let bag = options.data_dir(&folder.path().join("data")).start().await;
    let (_, shown, _) = bag.command(&["config"]).await;
    assert!(shown.contains("client_secret = \"***\"") && !shown.contains("hush"), "{shown}");
}
