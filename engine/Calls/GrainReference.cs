using DarkStorage.Engine;

namespace Orleans.Runtime;

/// <summary>A grain as its callers hold it: an identity with an interface. Classes that derive from it are emitted.</summary>
public class GrainReference : IAddressable, IEquatable<GrainReference>
{
    internal GrainReference(Silo silo, GrainId grainId)
    {
        Silo = silo;
        GrainId = grainId;
    }

    public GrainId GrainId { get; }

    public GrainInterfaceType InterfaceType => Proxies.NameOfProxy(GetType());

    public virtual string InterfaceName => InterfaceType.ToString();

    /// <summary>The life of the silo that calls go to; one who calls from another takes the reference along (<see cref="In"/>).</summary>
    internal Silo Silo { get; private set; }

    /// <summary>A reference to something of one silo, rather than to a grain that has a home.</summary>
    internal SiloAddress? Destination { get; set; }

    public virtual TGrainInterface Cast<TGrainInterface>() where TGrainInterface : IAddressable => (TGrainInterface)As(typeof(TGrainInterface));

    internal object As(Type interfaceType) => interfaceType.IsInstanceOfType(this) ? this : Silo.References.Create(interfaceType, GrainId);

    internal GrainReference In(Silo silo)
    {
        if (silo == Silo) return this;
        var same = (GrainReference)MemberwiseClone();
        same.Silo = silo;
        return same;
    }

    public override bool Equals(object? obj) => Equals(obj as GrainReference);

    public bool Equals(GrainReference? other) => other is not null && GrainId == other.GrainId;

    public override int GetHashCode() => GrainId.GetHashCode();

    public uint GetUniformHashCode() => GrainId.GetUniformHashCode();

    public sealed override string ToString() => $"GrainReference:{GrainId}";

    public static bool operator ==(GrainReference? left, GrainReference? right) => left is null ? right is null : left.Equals(right);

    public static bool operator !=(GrainReference? left, GrainReference? right) => !(left == right);
}
