using System.Buffers;
using System.Runtime.CompilerServices;

namespace DarkStorage.Storage.ErasureCoding;

public sealed partial class ErasureCode
{
    /// <summary>The shards of one call, held in place while a kernel works on them: all inputs, then all outputs. It lives on the stack.</summary>
    private unsafe ref struct PinnedStripe(int length)
    {
        private const int ShardsMax = DataMax + ParityMax;

        private Handles _handles;
        private Places _places;
        private int _inputs;
        private int _outputs;

        public void AddInput(ReadOnlyMemory<byte> shard)
        {
            Add(shard);
            _inputs++;
        }

        public void AddOutput(ReadOnlyMemory<byte> shard)
        {
            Add(shard);
            _outputs++;
        }

        public void Multiply(ErasureKernel kernel, CodingMatrix matrix)
        {
            ThrowIfOverwritten();
            fixed (nint* places = &_places[0]) kernel.Multiply(matrix, (byte**)places, (byte**)(places + _inputs), length);
        }

        public void Dispose()
        {
            for (var i = 0; i < _inputs + _outputs; i++) _handles[i].Dispose();
        }

        private void Add(ReadOnlyMemory<byte> shard)
        {
            ThrowUnlessLength(shard.Length, length);
            var at = _inputs + _outputs;
            _handles[at] = shard.Pin();
            _places[at] = (nint)_handles[at].Pointer;
        }

        private readonly void ThrowIfOverwritten()
        {
            for (var output = _inputs; output < _inputs + _outputs; output++)
            {
                for (var other = 0; other < output; other++)
                {
                    if (Math.Abs(_places[output] - _places[other]) < length) throw new ArgumentException("The memory of a shard that is made overlaps that of another shard.");
                }
            }
        }

        [InlineArray(ShardsMax)]
        private struct Handles
        {
            private MemoryHandle _first;
        }

        [InlineArray(ShardsMax)]
        private struct Places
        {
            private nint _first;
        }
    }
}
