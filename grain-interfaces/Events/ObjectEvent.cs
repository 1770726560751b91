using System.Collections.Immutable;
using DarkStorage.GrainInterfaces.Buckets;
using Orleans;

namespace DarkStorage.GrainInterfaces.Events;

/// <summary>What happened to an object, for one target. It is written in the transaction of the change: where the change is, it is.</summary>
/// <param name="Target">The target's name.</param>
/// <param name="Document">What the target gets: UTF-8 JSON.</param>
public sealed record ObjectEvent(string Target, ReadOnlyMemory<byte> Document);

/// <summary>An event that waits for its target to take it.</summary>
/// <param name="Sequence">Grows with each event of the index: of one key the events have the order of its changes.</param>
/// <param name="Key">With the bucket, what the order is kept for.</param>
/// <param name="Occurred">When it was written.</param>
/// <param name="Document">Empty where it is not what was written: nothing is told on damaged data.</param>
public sealed record WaitingEvent(long Sequence, BucketId Bucket, string Key, DateTimeOffset Occurred, ReadOnlyMemory<byte> Document);

/// <summary>Why an event no longer waits.</summary>
public enum EventEnd : byte
{
    /// <summary>The target took it.</summary>
    Delivered = 1,

    /// <summary>The target did not take it for as long as it is tried.</summary>
    GivenUp = 2,
}

/// <summary>What the index has for one target.</summary>
/// <param name="Oldest">Of those that wait; null where none does.</param>
/// <param name="Delivered">Delivered ones that are still kept, as are the given up ones.</param>
[GenerateSerializer, Immutable, Alias("event-counts")]
public sealed record EventCounts(long Waiting, DateTimeOffset? Oldest, long Delivered, long GivenUp);
