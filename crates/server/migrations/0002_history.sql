-- What the history says beyond the bytes, totals beside the change number, and a chain through the audit log.
-- Lines that add a text column get `collate "C"` on PostgreSQL, as everywhere.

-- Why a version came to be; the labels are JSON lists.
alter table versions add column cause text not null default 'uploaded';
alter table versions add column tags text not null default '[]';
alter table versions add column platforms text not null default '[]';
alter table versions add column category text;
alter table versions add column instructions text;
alter table versions add column ended_at integer;
create index versions_replaced on versions (ended_at) where ended = 'replaced';
update versions set cause = 'overridden' where number > 1;
update versions set ended_at = (select a.at from audit a where a.number = versions.died) where died is not null;

-- A version's tags and platforms once more, one a row: for `$filter`.
create table labels (
    version integer not null references versions (born),
    kind text not null check (kind in ('tag', 'platform')),
    value text not null,
    primary key (version, kind, value)
);
create index labels_value on labels (value, kind);

-- Who deleted a file, and who holds it for legal reasons: while it is held, nothing of it is removed.
alter table files add column deleted_by text;
alter table files add column held_at integer;
alter table files add column held_by text;
alter table files add column hold_reason text;
update files set deleted_by = (
    select a.actor from audit a join versions v on v.died = a.number
    where v.file = files.id and v.number = files.version
) where deleted_at is not null;

-- Beside the number of the last change: the hash of its audit row, how many files live, and how many bytes the
-- contents have.
alter table tenant add column head text not null default '0000000000000000000000000000000000000000000000000000000000000000';
alter table tenant add column files integer not null default 0;
alter table tenant add column bytes integer not null default 0;
update tenant set
    files = (select count(*) from files where deleted_at is null),
    bytes = (select cast(coalesce(sum(size), 0) as bigint) from contents);

-- Each row holds the hash of the one before it and its own: see `audit::seal`.
alter table audit add column previous text not null default '';
alter table audit add column hash text not null default '';

-- Uploads that may be sent again: what the first one was answered.
create table retries (
    caller text not null,
    retry_key text not null,
    fingerprint text not null,
    answer text not null,
    at integer not null,
    primary key (caller, retry_key)
);
create index retries_at on retries (at);
