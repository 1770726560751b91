"""Computes the known answers of FrameVectorTests with the package `cryptography`, knowing docs/FORMATS.md and nothing of the C#."""
import hashlib
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

FRAME, TAG = 65536, 16
CONTENT = FRAME - TAG

data_key = bytes(range(32))
blob = bytes.fromhex("0192f3a4b5c6d7e8f90a1b2c3d4e5f60")
key = HKDF(hashes.SHA256(), 32, salt=None, info=b"darkstorage/blob/1" + blob).derive(data_key)
print("key", key.hex())


def seal(content):
    stored = b""
    frames = [content[at:at + CONTENT] for at in range(0, len(content), CONTENT)]
    for number, frame in enumerate(frames):
        nonce = number.to_bytes(11, "big") + (b"\1" if number == len(frames) - 1 else b"\0")
        stored += AESGCM(key).encrypt(nonce, frame, None)
    return stored


print("abc", seal(b"abc").hex())
long = bytes(i * 7 % 251 for i in range(150_000))
print("long", len(seal(long)), hashlib.sha256(seal(long)).hexdigest())

# Wrapped keys.
salt = bytes(range(100, 132))
derived = HKDF(hashes.SHA256(), 44, salt=salt, info=b"darkstorage/ring/1").derive(bytes(range(50, 82)))
wrapped = AESGCM(derived[:32]).encrypt(derived[32:], data_key, b"name\0" + b'{"a":"1","b":"2"}')
print("ring", ((3).to_bytes(4, "big") + salt + wrapped).hex())
