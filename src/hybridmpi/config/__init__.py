"""The job: frozen pydantic models of the TOML file, checked once."""

from hybridmpi.config.job import Job
from hybridmpi.config.load import load_job

__all__ = ["Job", "load_job"]
