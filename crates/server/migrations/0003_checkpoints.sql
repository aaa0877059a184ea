-- Signed statements of which entry the audit log ends with and what its hash is: `number` is that entry's. Notes as
-- C2SP's tlog-checkpoint has them.
create table checkpoints (
    number integer not null primary key,
    at integer not null,
    note text not null
);

-- The Ed25519 key that signs them, under the log's name, unless the settings name a file.
create table audit_keys (
    name text not null primary key,
    private_key text not null,
    created_at integer not null
);
