-- One SQL text for both databases. PostgreSQL additionally gets `collate "C"` on every text column, so that
-- both compare by code point. Times are microseconds since 1970-01-01T00:00:00Z.

-- The one tenant this installation serves. `change` numbers the changes of the library: each change takes
-- the next number in its own transaction, so a number names one state of the library.
create table tenant (
    id text not null primary key,
    created_at bigint not null,
    change bigint not null
);

-- Bytes, once per digest. Small ones live here and share the commit's sync; others are a blob whose key is
-- never used again. A version's foreign key is what keeps its bytes.
create table contents (
    sha256 text not null primary key,
    size bigint not null,
    bytes bytea,
    blob text unique,
    created_at bigint not null,
    check ((bytes is null) <> (blob is null))
);

-- Blobs that no content owns any more. A blob is deleted some time after its row got here, so that a copy
-- of the catalog taken before still finds its bytes.
create table garbage (
    blob text not null primary key,
    since bigint not null
);

create table files (
    id text not null primary key,
    name_key text not null,
    version bigint not null,
    created_at bigint not null,
    created_by text not null,
    deleted_at bigint
);
create unique index files_live_name on files (name_key) where deleted_at is null;
create index files_name on files (name_key);
create index files_deleted on files (deleted_at) where deleted_at is not null;

-- Immutable but for how the version ended: `born` and `died` are change numbers, so the state of the library
-- at change n is every version with born <= n and (died is null or died > n).
create table versions (
    file text not null references files (id),
    number bigint not null,
    name text not null,
    sha256 text not null references contents (sha256),
    size bigint not null,
    description text,
    has_parameters boolean not null,
    parameters_description text,
    author text not null,
    author_id text not null,
    created_at bigint not null,
    born bigint not null,
    died bigint,
    ended text check (ended in ('replaced', 'deleted')),
    primary key (file, number)
);
create index versions_content on versions (sha256);
create index versions_died on versions (died);

-- App registrations. `id` is the OAuth2 client id.
create table clients (
    id text not null primary key,
    name text not null,
    created_at bigint not null,
    expires_at bigint,
    removed_at bigint
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
    created_at bigint not null,
    expires_at bigint,
    primary key (client, sha256)
);
create table client_certificates (
    client text not null references clients (id),
    sha256 text not null,
    pem text not null,
    created_at bigint not null,
    primary key (client, sha256)
);

create table signing_keys (
    kid text not null primary key,
    private_key text not null,
    created_at bigint not null,
    retired_at bigint
);

create table audit (
    id text not null primary key,
    at bigint not null,
    actor text not null,
    actor_id text not null,
    address text,
    action text not null,
    target text not null,
    before text,
    after text,
    request_id text not null
);
create index audit_at on audit (at);

-- Calls admitted, per caller, API family and second; only used where several nodes share one database.
create table calls (
    caller text not null,
    family text not null,
    second bigint not null,
    calls bigint not null,
    primary key (caller, family, second)
);
