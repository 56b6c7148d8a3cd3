import Hummingbird
import ServiceLifecycle
import Yams
