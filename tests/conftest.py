"""What holds for all tests."""

from hypothesis import settings

# A machine that does much else is slow now and then; no test is about that.
settings.register_profile("pupload", deadline=None)
settings.load_profile("pupload")
