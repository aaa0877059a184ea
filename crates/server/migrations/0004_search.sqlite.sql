-- Words of versions, for `$search`: a document for each, without its text. What is here follows from the versions and
-- is written after them; `search_state` says up to which change.
create virtual table documents using fts5 (
    words, content = '', contentless_delete = 1, tokenize = "unicode61 remove_diacritics 0 categories 'L* N* M* Co'"
);
-- Words of what is purged go from the index at once.
insert into documents (documents, rank) values ('secure-delete', 1);
create table search_state (change integer not null);
insert into search_state (change) values (0);
