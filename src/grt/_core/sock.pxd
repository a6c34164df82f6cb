from grt._core cimport csys as system
from grt._core.csys cimport WOULD_BLOCK
