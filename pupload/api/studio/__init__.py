"""The Studio surface: projects, their runs and their runtime, as Studio's project API describes them."""
