"""Values as JSON bytes, and back by annotation.

One rule for every kind of run: the next task receives `decode(encode(value))`, in memory too. So encoding is strict:
whatever would come back as something else without anybody noticing (NaN written as null, two keys that become one),
and whatever could not be read again (too deep, too large), is refused with the path of the place inside the value.

    signatures   function → annotation            encoding   value → text, and its checks
    codec        annotation → codec               nesting    how deep a text is
    annotations  annotation → decoder             faults     where and why a value cannot be stored
    decoders     what msgspec alone cannot read   places     paths, and where a text does not fit
    models       the bridge to pydantic           envelope   what is around a stored text

Rules of this package: pure functions and immutable codecs; all errors are SerializationError (a value cannot be stored)
or DeserializationError (a text cannot be read). What only errors and annotations need is loaded when it is needed.
"""

from sayiir.core.values.codec import PLAIN, Codec, codec_for, plain
from sayiir.core.values.encoding import MAX_BYTES, encode
from sayiir.core.values.envelope import pack, unpack
from sayiir.core.values.nesting import MAX_DEPTH
from sayiir.core.values.signatures import input_annotation, output_annotation

__all__ = [
    "MAX_BYTES",
    "MAX_DEPTH",
    "PLAIN",
    "Codec",
    "codec_for",
    "encode",
    "input_annotation",
    "output_annotation",
    "pack",
    "plain",
    "unpack",
]
