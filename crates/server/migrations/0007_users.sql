-- People who sign in here, and what their sign-ins hand out. Of sessions, codes and tokens only the SHA-256 is kept.

-- `id` is never given out again; a name is free when its user was removed. A higher `epoch` ends every session and
-- token of before. `totp_step` is the last step of time whose code was used.
create table users (
    id text not null primary key,
    name text not null,
    name_key text not null,
    display_name text not null,
    password text not null,
    totp text,
    totp_step integer,
    epoch integer not null,
    created_at integer not null,
    password_at integer not null,
    disabled_at integer,
    removed_at integer
);
create unique index users_name on users (name_key) where removed_at is null;
create table user_permissions (
    user_id text not null references users (id),
    permission text not null,
    primary key (user_id, permission)
);

-- Apps that sign users in: where their browsers may be sent, and whether they have no secret.
alter table clients add column public boolean not null default false;
create table client_redirects (
    client text not null references clients (id),
    uri text not null,
    primary key (client, uri)
);

-- A browser that has signed in. `id` is what tokens call it, `sha256` is of its cookie.
create table sessions (
    id text not null primary key,
    sha256 text not null unique,
    user_id text not null,
    epoch integer not null,
    created_at integer not null,
    seen_at integer not null
);
create index sessions_user on sessions (user_id);

-- What a browser brings back to an app. `grant_id` is of the grant that it becomes.
create table codes (
    sha256 text not null primary key,
    grant_id text not null,
    client text not null,
    redirect_uri text not null,
    challenge text not null,
    nonce text,
    scope text not null,
    audience text not null,
    user_id text not null,
    epoch integer not null,
    session text not null,
    signed_in_at integer not null,
    expires_at integer not null,
    used_at integer
);
create index codes_expire on codes (expires_at);

-- What an app holds for a user. `sha256` is of the one refresh token that is good now.
create table grants (
    id text not null primary key,
    sha256 text not null,
    client text not null,
    scope text not null,
    audience text not null,
    user_id text not null,
    epoch integer not null,
    session text,
    signed_in_at integer not null,
    created_at integer not null,
    expires_at integer not null
);
create index grants_session on grants (session);
create index grants_user on grants (user_id);
create index grants_expire on grants (expires_at);

-- Devices that wait for somebody to approve them with `user_code`.
create table devices (
    sha256 text not null primary key,
    user_code text not null unique,
    client text not null,
    scope text not null,
    audience text not null,
    address text not null,
    expires_at integer not null,
    asked_at integer,
    pace integer not null,
    status text not null check (status in ('waiting', 'approved', 'denied')),
    user_id text,
    epoch integer,
    signed_in_at integer
);
create index devices_expire on devices (expires_at);

-- Failed sign-ins by the SHA-256 of what they are counted for.
create table sign_in_failures (
    subject text not null primary key,
    count integer not null,
    last integer not null
);
