using System.Globalization;
using System.Runtime.CompilerServices;
using Xunit;

// Each of these tests wants the machine to itself: they measure what a node does under load, not how two nodes share a disk.
[assembly: CollectionBehavior(DisableTestParallelization = true)]

namespace DarkStorage.Simulation;

/// <summary>Where randomness comes from. A failure names its seed; <c>DARKSTORAGE_TEST_SEED</c> plays that seed again.</summary>
internal static class Seeds
{
    /// <summary>The seed that was asked for, or null where each run takes new ones.</summary>
    public static int? Asked => Number("DARKSTORAGE_TEST_SEED");

    /// <summary>A setting from the environment, or what it is without.</summary>
    public static int Count(string variable, int otherwise) => Number(variable) ?? otherwise;

    public static int Next() => Asked ?? Random.Shared.Next();

    private static int? Number(string variable) =>
        int.TryParse(Environment.GetEnvironmentVariable(variable), NumberStyles.None, CultureInfo.InvariantCulture, out var number) ? number : null;

    /// <summary>A seed for one of several actors of the same run.</summary>
    public static Random Fork(int seed, params ReadOnlySpan<int> path)
    {
        var mixed = (ulong)(uint)seed;
        foreach (var step in path) mixed = Mix(mixed ^ (ulong)(uint)step);
        return new((int)(Mix(mixed) & int.MaxValue));
    }

    /// <summary>SplitMix64: every input has its own output, and near inputs have far ones.</summary>
    [MethodImpl(MethodImplOptions.AggressiveInlining)]
    public static ulong Mix(ulong value)
    {
        value += 0x9E3779B97F4A7C15;
        value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9;
        value = (value ^ (value >> 27)) * 0x94D049BB133111EB;
        return value ^ (value >> 31);
    }
}
