using Orleans;

namespace DarkStorage.GrainInterfaces;

/// <summary>A bucket for life: a bucket made anew under an old name has another id.</summary>
[GenerateSerializer, Immutable, Alias("bucket-id")]
public readonly record struct BucketId(long Value)
{
    public override string ToString() => Value.ToString(System.Globalization.CultureInfo.InvariantCulture);
}
