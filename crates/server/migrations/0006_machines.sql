-- Machines that agents run on, how they come in, and what they are asked to do.

-- What an agent enrols with: the SHA-256 of a secret of 256 random bits.
create table enrollments (
    id text not null primary key,
    sha256 text not null unique,
    tags text not null,
    uses integer not null,
    expires_at integer not null,
    created_at integer not null,
    created_by text not null,
    revoked_at integer
);

-- `id` follows from the public key: one machine has one, and another cannot take it. `lineage` is the SHA-256 of the
-- token that its last connection confirmed; null when it has confirmed none, or may come with any.
create table machines (
    id text not null primary key,
    public_key text not null unique,
    name text not null,
    os_platform text not null,
    version text,
    facts text not null,
    tags text not null,
    address text,
    first_seen integer not null,
    last_seen integer not null,
    enrollment text not null references enrollments (id),
    ip_address text,
    revoked_at integer,
    lineage text
);
create index machines_name on machines (name);

-- A machine's tags once more, one a row: for `$filter`.
create table machine_tags (
    machine text not null references machines (id),
    value text not null,
    primary key (machine, value)
);
create index machine_tags_value on machine_tags (value);

-- `number` is that of the change that made the action.
create table actions (
    number integer not null primary key,
    id text not null unique,
    machine text not null references machines (id),
    machine_name text not null,
    status text not null check (status in ('Pending', 'InProgress', 'Succeeded', 'Failed', 'TimeOut', 'Cancelled')),
    requestor text not null,
    requestor_id text not null,
    comment text not null,
    created_at integer not null,
    updated_at integer not null,
    cancelled_by text,
    cancel_comment text,
    cancelled_at integer,
    deadline integer not null,
    ended integer
);
create index actions_ended on actions (ended) where ended is not null;
create index actions_open on actions (machine, number) where status in ('Pending', 'InProgress');
create index actions_machine on actions (machine, number);

-- What an action does, in order. The content keeps its bytes while the action is not final.
create table commands (
    action integer not null references actions (number),
    number integer not null,
    kind text not null check (kind in ('PutFile', 'RunScript', 'GetFile')),
    params text not null,
    args text not null,
    path text,
    status text not null check (status in ('Created', 'Submitted', 'Executing', 'Completed', 'Failed')),
    started_at integer,
    ended_at integer,
    errors text not null,
    exit_code integer,
    file integer,
    version integer,
    file_name text,
    sha256 text,
    size integer,
    content integer references contents (id),
    ends text,
    primary key (action, number)
);
create index commands_content on commands (content) where content is not null;
create index commands_file on commands (file, version) where file is not null;

-- What commands put out, in pieces from an offset on: small ones here, others a blob.
create table output (
    action integer not null,
    command integer not null,
    stream integer not null,
    start integer not null,
    size integer not null,
    bytes bytea,
    blob text,
    primary key (action, command, stream, start),
    foreign key (action, command) references commands (action, number),
    check ((bytes is null) <> (blob is null))
);
create index actions_final on actions (updated_at) where status not in ('Pending', 'InProgress');
create unique index output_blob on output (blob) where blob is not null;
