-- The link by which the first user is made: the SHA-256 of its code.
create table setup (
    sha256 text not null primary key,
    expires_at integer not null
);

-- A browser whose user an issuer elsewhere has signed in, with what its token said. `sha256` is of the cookie.
create table external_sessions (
    id text not null primary key,
    sha256 text not null unique,
    issuer text not null,
    user_id text not null,
    display_name text not null,
    login text not null,
    tenant text,
    permissions text not null,
    created_at integer not null,
    seen_at integer not null,
    expires_at integer not null
);
create index external_sessions_expire on external_sessions (expires_at);
