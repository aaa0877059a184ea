-- One SQL text for both databases. PostgreSQL gets `collate "C"` on every text column, so that both compare by
-- code point, and `bigint` for `integer`, which in SQLite has 64 bits anyway (and as a primary key costs no
-- index). Times are microseconds since 1970-01-01T00:00:00Z.

-- The one tenant this installation serves. `change` numbers the changes: each takes the next number in its own
-- transaction, so a number names one state of the library. What a change makes is keyed by its number: rows
-- that are made together lie together.
create table tenant (
    id text not null primary key,
    created_at integer not null,
    change integer not null
);

-- Bytes, once per digest. Small ones live here and share the commit's sync; others are a blob whose key is
-- never used again. A version's foreign key is what keeps its bytes.
create table contents (
    id integer not null primary key,
    sha256 text not null unique,
    size integer not null,
    bytes bytea,
    blob text,
    created_at integer not null,
    check ((bytes is null) <> (blob is null))
);
create unique index contents_blob on contents (blob) where blob is not null;

-- Blobs that no content owns any more. A blob is deleted some time after its row got here, so that a copy
-- of the catalog taken before still finds its bytes.
create table garbage (
    blob text not null primary key,
    since integer not null
);

create table files (
    id integer not null primary key,
    name_key text not null,
    version integer not null,
    created_at integer not null,
    created_by text not null,
    deleted_at integer
);
create unique index files_live_name on files (name_key) where deleted_at is null;
create index files_deleted on files (deleted_at) where deleted_at is not null;

-- Immutable but for how the version ended: `born` and `died` are change numbers, so the state of the library
-- at change n is every version with born <= n and (died is null or died > n).
create table versions (
    born integer not null primary key,
    file integer not null references files (id),
    number integer not null,
    name text not null,
    content integer not null references contents (id),
    description text,
    has_parameters boolean not null,
    parameters_description text,
    author text not null,
    author_id text not null,
    created_at integer not null,
    died integer,
    ended text check (ended in ('replaced', 'deleted')),
    unique (file, number)
);
create index versions_content on versions (content);

-- App registrations. `id` is the OAuth2 client id.
create table clients (
    id text not null primary key,
    name text not null,
    created_at integer not null,
    expires_at integer,
    removed_at integer
);
create table client_permissions (
    client text not null references clients (id),
    permission text not null,
    primary key (client, permission)
);
-- Only the SHA-256 of a secret is kept: secrets are 256 random bits, so nothing slower is needed.
create table client_secrets (
    client text not null references clients (id),
    sha256 text not null,
    created_at integer not null,
    expires_at integer,
    primary key (client, sha256)
);
create table client_certificates (
    client text not null references clients (id),
    sha256 text not null,
    pem text not null,
    created_at integer not null,
    primary key (client, sha256)
);

create table signing_keys (
    kid text not null primary key,
    private_key text not null,
    created_at integer not null,
    retired_at integer
);

-- One row for every change, keyed by its number.
create table audit (
    number integer not null primary key,
    at integer not null,
    actor text not null,
    actor_id text not null,
    address text,
    action text not null,
    target text not null,
    before text,
    after text,
    request_id text not null
);

-- Calls admitted, per caller, API family and millisecond; only used where several nodes share one database.
create table calls (
    caller text not null,
    family text not null,
    at integer not null,
    calls integer not null,
    primary key (caller, family, at)
);
