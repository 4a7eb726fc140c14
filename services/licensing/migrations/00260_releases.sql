-- Releases, their kits, and known problems (C4, C5).

-- +goose Up

CREATE TABLE release (
    id               uuid        NOT NULL,
    kind             text        NOT NULL,
    subject          text        NOT NULL,
    version          integer[]   NOT NULL,
    release_date     date        NOT NULL,
    platform         text        NOT NULL,
    platform_version text        NOT NULL,
    issue            text        NOT NULL,
    texts            jsonb       NOT NULL,
    author           uuid        NOT NULL,
    created          timestamptz NOT NULL,
    published        timestamptz,
    published_by     uuid,
    withdrawn        timestamptz,
    withdrawn_by     uuid,
    withdraw_reason  text        NOT NULL DEFAULT '',
    revision         bigint      NOT NULL DEFAULT 1,
    told             timestamptz,
    told_until       uuid,
    CONSTRAINT release_pk PRIMARY KEY (id),
    CONSTRAINT release_once UNIQUE (kind, subject, version),
    CONSTRAINT release_kind_known CHECK (kind IN ('product', 'platform', 'report_forms')),
    CONSTRAINT release_version_has_three_parts CHECK (cardinality(version) = 3),
    CONSTRAINT release_platform_with_version CHECK ((platform = '') = (platform_version = '')),
    CONSTRAINT release_withdrawn_after_published CHECK (withdrawn IS NULL OR published IS NOT NULL)
);
COMMENT ON TABLE release IS 'Versions of products, platforms and report forms. A draft until published.';
COMMENT ON COLUMN release.version IS 'Major, minor, patch; arrays compare as versions do.';
COMMENT ON COLUMN release.texts IS 'Words by language.';
COMMENT ON COLUMN release.issue IS 'Number of the maintenance issue that carries it.';
COMMENT ON COLUMN release.told IS 'When every subscriber that has the product had been told; null before.';
COMMENT ON COLUMN release.told_until IS 'The last subscriber that was told, while it is being told.';
CREATE INDEX release_to_tell ON release (published) WHERE published IS NOT NULL AND told IS NULL;

CREATE TABLE release_kit (
    id         uuid        NOT NULL,
    release    uuid        NOT NULL,
    target     text        NOT NULL,
    filename   text        NOT NULL,
    size_bytes bigint      NOT NULL,
    sha256     bytea       NOT NULL,
    received   bigint      NOT NULL DEFAULT 0,
    signature  text        NOT NULL DEFAULT '',
    object_key text        NOT NULL DEFAULT '',
    author     uuid        NOT NULL,
    created    timestamptz NOT NULL,
    CONSTRAINT release_kit_pk PRIMARY KEY (id),
    CONSTRAINT release_kit_of_release FOREIGN KEY (release) REFERENCES release (id),
    CONSTRAINT release_kit_one_a_target UNIQUE (release, target),
    CONSTRAINT release_kit_has_bytes CHECK (size_bytes > 0 AND received BETWEEN 0 AND size_bytes),
    CONSTRAINT release_kit_hash_is_sha256 CHECK (length(sha256) = 32),
    CONSTRAINT release_kit_whole_when_signed CHECK ((signature = '') = (object_key = '') AND (signature = '' OR received = size_bytes))
);
COMMENT ON TABLE release_kit IS 'Files that install a release. Signed once all of it arrived.';
COMMENT ON COLUMN release_kit.object_key IS 'Key of the whole file in the object store.';

CREATE TABLE release_kit_part (
    kit        uuid   NOT NULL,
    begins     bigint NOT NULL,
    size_bytes bigint NOT NULL,
    object_key text   NOT NULL,
    CONSTRAINT release_kit_part_pk PRIMARY KEY (kit, begins),
    CONSTRAINT release_kit_part_of_kit FOREIGN KEY (kit) REFERENCES release_kit (id) ON DELETE CASCADE,
    CONSTRAINT release_kit_part_has_bytes CHECK (begins >= 0 AND size_bytes > 0)
);
COMMENT ON TABLE release_kit_part IS 'What arrived of a kit that is not whole yet, as objects in the store.';

CREATE TABLE release_key (
    id      text        NOT NULL,
    public  text        NOT NULL,
    sealed  bytea       NOT NULL,
    created timestamptz NOT NULL,
    CONSTRAINT release_key_pk PRIMARY KEY (id)
);
COMMENT ON TABLE release_key IS 'Keys that sign kits; the newest signs. The private part is encrypted under the key-encryption key.';

CREATE TABLE known_problem (
    id            uuid        NOT NULL,
    kind          text        NOT NULL,
    subject       text        NOT NULL,
    from_version  integer[]   NOT NULL,
    fixed_version integer[]   NOT NULL,
    texts         jsonb       NOT NULL,
    author        uuid        NOT NULL,
    created       timestamptz NOT NULL,
    updated       timestamptz NOT NULL,
    revision      bigint      NOT NULL DEFAULT 1,
    CONSTRAINT known_problem_pk PRIMARY KEY (id),
    CONSTRAINT known_problem_versions CHECK (cardinality(from_version) = 3 AND (cardinality(fixed_version) = 0 OR cardinality(fixed_version) = 3 AND fixed_version > from_version))
);
COMMENT ON TABLE known_problem IS 'Problems and errors with the versions that they touch: from one until, not including, another.';
COMMENT ON COLUMN known_problem.from_version IS 'Major, minor, patch; arrays compare as versions do.';
COMMENT ON COLUMN known_problem.fixed_version IS 'Empty while it is not mended.';
CREATE INDEX known_problem_of_subject ON known_problem (kind, subject, id);
