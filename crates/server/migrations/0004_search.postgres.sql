-- Words of versions, for `$search`: a document for each, without its text. What is here follows from the versions and
-- is written after them; `search_state` says up to which change. `rowid` is what SQLite's index calls its key.
create table documents (rowid bigint not null primary key, words tsvector not null);
create index documents_words on documents using gin (words);
create table search_state (change bigint not null);
insert into search_state (change) values (0);
