-- What a remediation tells in short, and the fields of a view's row, are written anew as it goes on and read whole. To compress
-- them took Postgres longer than all else it did for the row, and each reader undid it. A row of a view now stays whole up to a
-- page; a summary goes beside its row, so that lists are filtered in few pages.

ALTER TABLE remediations ALTER COLUMN summary SET STORAGE EXTERNAL;

ALTER TABLE orchestration_view SET (toast_tuple_target = 8160);
ALTER TABLE signal_processing_view SET (toast_tuple_target = 8160);
ALTER TABLE ai_analysis_view SET (toast_tuple_target = 8160);
ALTER TABLE workflow_execution_view SET (toast_tuple_target = 8160);
ALTER TABLE notification_view SET (toast_tuple_target = 8160);
ALTER TABLE effectiveness_view SET (toast_tuple_target = 8160);
