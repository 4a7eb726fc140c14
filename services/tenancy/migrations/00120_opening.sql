-- What opening needs to be safe when it is broken off.

-- +goose Up

ALTER TABLE session ADD COLUMN ready boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN session.ready IS 'Whether its opener is done with the role. Until then, or until no opener can be at it any more, the slot is not given to another session.';

-- Recorded before the role is changed, so that no change is forgotten.
COMMENT ON COLUMN login_slot.made IS 'Whether the role stands on the cluster just as groups and read_only say; while false, anything may be there.';
