"""The course: notebooks, exercises and their checks, installed as ``microrecur.lessons``."""
