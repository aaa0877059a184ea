//! How the service is before it starts.

use std::time::Duration;

#[derive(Clone)]
pub struct Options {
    pub(super) roles: Vec<String>,
    pub(super) scopes: Vec<String>,
    pub(super) per_minute: usize,
    pub(super) per_hour: usize,
    pub(super) minute: Duration,
    pub(super) token_seconds: i64,
    pub(super) interval: u64,
    pub(super) page: usize,
    pub(super) tls: bool,
}

impl Default for Options {
    fn default() -> Options {
        let roles = ["Library.Manage", "Machine.LiveResponse", "Machine.Read.All", "Machine.ReadWrite.All"];
        let scopes = ["Library.Manage", "Machine.LiveResponse", "Machine.Read", "Machine.ReadWrite"];
        Options {
            roles: roles.map(str::to_owned).to_vec(),
            scopes: scopes.map(str::to_owned).to_vec(),
            per_minute: 100,
            per_hour: 1500,
            minute: Duration::from_secs(60),
            token_seconds: 3599,
            interval: 0,
            page: 10_000,
            tls: false,
        }
    }
}

impl Options {
    /// Application permissions of the app: what its tokens say under `roles`.
    pub fn roles(mut self, roles: &[&str]) -> Options {
        self.roles = roles.iter().map(|role| role.to_string()).collect();
        self
    }

    /// Delegated permissions of the person who signs in: what their tokens say under `scp`.
    pub fn scopes(mut self, scopes: &[&str]) -> Options {
        self.scopes = scopes.iter().map(|scope| scope.to_string()).collect();
        self
    }

    /// Calls of an app within a minute; 100 unless told.
    pub fn per_minute(mut self, calls: usize) -> Options {
        self.per_minute = calls;
        self
    }

    /// Calls of an app within an hour; 1,500 unless told.
    pub fn per_hour(mut self, calls: usize) -> Options {
        self.per_hour = calls;
        self
    }

    /// How long a minute of the quota lasts, for tests that cannot wait for one.
    pub fn minute(mut self, lasts: Duration) -> Options {
        self.minute = lasts;
        self
    }

    /// How long tokens live; an hour unless told. 0: they are expired when they come.
    pub fn token_seconds(mut self, seconds: i64) -> Options {
        self.token_seconds = seconds;
        self
    }

    /// Seconds between two polls of a device that waits for its person; 0 unless told.
    pub fn interval(mut self, seconds: u64) -> Options {
        self.interval = seconds;
        self
    }

    /// How many machines or actions come at once before there is a link to more; 10,000 unless told.
    pub fn page(mut self, items: usize) -> Options {
        self.page = items;
        self
    }

    /// HTTPS for `localhost` and `127.0.0.1`, by a certificate authority made for this one service.
    pub fn tls(mut self) -> Options {
        self.tls = true;
        self
    }
}
