-- Copies that areas are being filled from.

-- +goose Up

CREATE TABLE area_upload (
    company_id uuid NOT NULL,
    upload_id  uuid NOT NULL,
    operation  text NOT NULL,
    CONSTRAINT area_upload_pk PRIMARY KEY (company_id),
    CONSTRAINT area_upload_of_company FOREIGN KEY (company_id) REFERENCES company (id),
    CONSTRAINT area_upload_of_upload FOREIGN KEY (upload_id) REFERENCES upload (id) ON DELETE CASCADE
);
COMMENT ON TABLE area_upload IS 'The upload that an operation fills a company''s new area from. Once the operation is over and the row is still there, nothing came of it.';
