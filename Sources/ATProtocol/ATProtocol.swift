import CSecp256k1
