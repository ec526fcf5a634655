"""The flwd surface: jobs, runs, artifacts and events under `/api/v1`, as flwd's REST API describes them."""
