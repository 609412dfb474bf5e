"""How hypothesis behaves on machines that are shared: no example fails for being slow."""

from hypothesis import HealthCheck, settings

settings.register_profile("roomlink", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("roomlink")
