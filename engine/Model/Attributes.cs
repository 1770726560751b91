using System.Globalization;
using Orleans.Runtime;

namespace Orleans
{
    /// <summary>A stable name on the wire for a type or a method.</summary>
    [AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Enum | AttributeTargets.Interface | AttributeTargets.Method)]
    public sealed class AliasAttribute(string alias) : Attribute
    {
        public string Alias { get; } = alias;
    }

    /// <summary>This type may cross grains: its members with an <see cref="IdAttribute"/> are copied, and a record's parameters.</summary>
    [AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Enum, Inherited = false)]
    public sealed class GenerateSerializerAttribute : Attribute
    {
        /// <summary>True for records by default, false for other types.</summary>
        public bool IncludePrimaryConstructorParameters { get; init; }

        public GenerateFieldIds GenerateFieldIds { get; init; }
    }

    public enum GenerateFieldIds
    {
        None,
        PublicProperties,
    }

    /// <summary>The number of a member within its type, never reused for another.</summary>
    [AttributeUsage(AttributeTargets.Field | AttributeTargets.Property)]
    public sealed class IdAttribute(uint id) : Attribute
    {
        public uint Id { get; } = id;
    }

    /// <summary>Never changed once made: passed without a copy. On a parameter: the caller promises so for that argument.</summary>
    [AttributeUsage(AttributeTargets.Class | AttributeTargets.Struct | AttributeTargets.Field | AttributeTargets.Property | AttributeTargets.Parameter)]
    public sealed class ImmutableAttribute : Attribute;

    /// <summary>How long a caller of this method waits for its answer, in place of the configured 30 seconds.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class ResponseTimeoutAttribute(string timeout) : Attribute
    {
        public TimeSpan? Timeout { get; init; } = TimeSpan.Parse(timeout, CultureInfo.InvariantCulture);
    }

    /// <summary>The stable name of a grain class, in storage and in reminders.</summary>
    [AttributeUsage(AttributeTargets.Class, Inherited = false)]
    public sealed class GrainTypeAttribute(string grainType) : Attribute
    {
        private readonly GrainType _grainType = GrainType.Create(grainType);

        public GrainType GetGrainType(IServiceProvider services, Type type) => _grainType;
    }

    /// <summary>How long an activation of this class may be idle before it is collected. At least one minute.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    public class CollectionAgeLimitAttribute : Attribute
    {
        private readonly TimeSpan? _fixed;

        public CollectionAgeLimitAttribute()
        {
        }

        public CollectionAgeLimitAttribute(string inactivityPeriod) =>
            _fixed = TimeSpan.Parse(inactivityPeriod, CultureInfo.InvariantCulture);

        public double Days { get; init; }

        public double Hours { get; init; }

        public double Minutes { get; init; }

        public bool AlwaysActive { get; init; }

        public TimeSpan AgeLimit
        {
            get
            {
                if (AlwaysActive) return Timeout.InfiniteTimeSpan;
                var age = _fixed ?? TimeSpan.FromDays(Days) + TimeSpan.FromHours(Hours) + TimeSpan.FromMinutes(Minutes);
                return age < TimeSpan.FromMinutes(1) ? TimeSpan.FromMinutes(1) : age;
            }
        }
    }

    /// <summary>Never collected for being idle.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    public class KeepAliveAttribute : Attribute;
}

namespace Orleans.Concurrency
{
    /// <summary>Every call of this grain class may interleave with every other, at awaits.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class ReentrantAttribute : Attribute;

    /// <summary>This method interleaves with any call, running or coming.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class AlwaysInterleaveAttribute : Attribute;

    /// <summary>This method changes nothing: it interleaves with other methods marked so.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class ReadOnlyAttribute : Attribute;

    /// <summary>The caller gets no answer and no error: its task is complete as soon as the call is sent.</summary>
    [AttributeUsage(AttributeTargets.Method)]
    public sealed class OneWayAttribute : Attribute;

    /// <summary>Names a method <c>bool Name(IInvokable request)</c> of the grain class that says which calls may interleave.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class MayInterleaveAttribute(string callbackMethodName) : Attribute
    {
        internal string CallbackMethodName { get; } = callbackMethodName;
    }

    /// <summary>A promise that the value never changes again: it crosses grains without a copy.</summary>
    public readonly struct Immutable<T>(T value)
    {
#pragma warning disable CA1051 // A field, as in Orleans.
        public readonly T Value = value;
#pragma warning restore CA1051
    }

    public static class ImmutableExtensions
    {
        public static Immutable<T> AsImmutable<T>(this T value) => new(value);
    }

    /// <summary>Several activations per silo, made as the load asks, each with its own memory; calls go to an idle one.</summary>
    [AttributeUsage(AttributeTargets.Class)]
    public sealed class StatelessWorkerAttribute : Placement.PlacementAttribute
    {
        public StatelessWorkerAttribute() : this(-1)
        {
        }

        public StatelessWorkerAttribute(int maxLocalWorkers) : base(new StatelessWorkerPlacement()) =>
            MaxLocalWorkers = maxLocalWorkers > 0 ? maxLocalWorkers : Environment.ProcessorCount;

        internal int MaxLocalWorkers { get; }

        private sealed class StatelessWorkerPlacement : PlacementStrategy;
    }
}

namespace Orleans.Placement
{
    /// <summary>
    /// Where a fresh activation goes: to the home that the hash of its id gives, unless it prefers the silo of its caller or any silo.
    /// Strategies that go by load are taken for the hash.
    /// </summary>
    [AttributeUsage(AttributeTargets.Class)]
    public abstract class PlacementAttribute : Attribute
    {
        protected PlacementAttribute(PlacementStrategy placement) => PlacementStrategy = placement;

        public PlacementStrategy PlacementStrategy { get; }
    }

    public sealed class RandomPlacementAttribute() : PlacementAttribute(new RandomPlacement());

    public sealed class PreferLocalPlacementAttribute() : PlacementAttribute(new PreferLocalPlacement());

    public sealed class HashBasedPlacementAttribute() : PlacementAttribute(new HashBasedPlacement());

    public sealed class ActivationCountBasedPlacementAttribute() : PlacementAttribute(new ActivationCountBasedPlacement());

    public sealed class ResourceOptimizedPlacementAttribute() : PlacementAttribute(new ResourceOptimizedPlacement());
}

namespace Orleans.Runtime
{
    public abstract class PlacementStrategy;

    public sealed class RandomPlacement : PlacementStrategy;

    public sealed class PreferLocalPlacement : PlacementStrategy;

    public sealed class HashBasedPlacement : PlacementStrategy;

    public sealed class ActivationCountBasedPlacement : PlacementStrategy;

    public sealed class ResourceOptimizedPlacement : PlacementStrategy;
}
