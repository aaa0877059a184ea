-- Addresses that are told what happens in the library. The audit log is the queue: `delivered` is the number of the
-- last change that was delivered or does not concern the webhook. One node at a time delivers, while its lease lasts.
create table webhooks (
    id text not null primary key,
    url text not null,
    description text,
    events text not null,
    secret text not null,
    created_at integer not null,
    created_by text not null,
    disabled_at integer,
    delivered integer not null,
    attempts integer not null,
    failing_since integer,
    next_try integer,
    last_at integer,
    last_status integer,
    last_error text,
    lease_holder text,
    lease_until integer
);
