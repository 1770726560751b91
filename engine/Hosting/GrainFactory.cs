using System.Collections.Concurrent;
using Orleans;
using Orleans.Runtime;

namespace DarkStorage.Engine;

/// <summary>Makes references, and keeps per interface how.</summary>
internal sealed class References(Silo silo)
{
    private readonly ConcurrentDictionary<Type, Func<Silo, GrainId, GrainReference>> _proxies = new();
    private readonly ConcurrentDictionary<(Type, string?), GrainType> _types = new();

    public GrainReference Create(Type grainInterface, GrainId id)
    {
        if (!_proxies.TryGetValue(grainInterface, out var create)) create = _proxies.GetOrAdd(grainInterface, Proxies.For(grainInterface));
        return create(silo, id);
    }

    public GrainReference Create(Type grainInterface, IdSpan key, string? classNamePrefix)
    {
        var request = (grainInterface, classNamePrefix);
        if (!_types.TryGetValue(request, out var type))
            type = _types.GetOrAdd(request, static (r, types) => types.Resolve(r.Item1, r.Item2), silo.Types);
        return Create(grainInterface, new(type, key));
    }
}

internal sealed class GrainFactory(SiloHost host) : IClusterClient
{
    public IServiceProvider ServiceProvider => Silo.Services;

    private Silo Silo => host.Current;

    public T GetGrain<T>(Guid primaryKey, string? grainClassNamePrefix = null) where T : IGrainWithGuidKey =>
        Get<T>(GrainIdKeyExtensions.CreateGuidKey(primaryKey), grainClassNamePrefix);

    public T GetGrain<T>(long primaryKey, string? grainClassNamePrefix = null) where T : IGrainWithIntegerKey =>
        Get<T>(GrainIdKeyExtensions.CreateIntegerKey(primaryKey), grainClassNamePrefix);

    public T GetGrain<T>(string primaryKey, string? grainClassNamePrefix = null) where T : IGrainWithStringKey =>
        Get<T>(StringKey(primaryKey), grainClassNamePrefix);

    public T GetGrain<T>(Guid primaryKey, string keyExtension, string? grainClassNamePrefix = null) where T : IGrainWithGuidCompoundKey =>
        Get<T>(GrainIdKeyExtensions.CreateGuidKey(primaryKey, Extension(keyExtension)), grainClassNamePrefix);

    public T GetGrain<T>(long primaryKey, string keyExtension, string? grainClassNamePrefix = null) where T : IGrainWithIntegerCompoundKey =>
        Get<T>(GrainIdKeyExtensions.CreateIntegerKey(primaryKey, Extension(keyExtension)), grainClassNamePrefix);

    public IGrain GetGrain(Type grainInterfaceType, Guid grainPrimaryKey) =>
        Get(grainInterfaceType, GrainIdKeyExtensions.CreateGuidKey(grainPrimaryKey));

    public IGrain GetGrain(Type grainInterfaceType, long grainPrimaryKey) =>
        Get(grainInterfaceType, GrainIdKeyExtensions.CreateIntegerKey(grainPrimaryKey));

    public IGrain GetGrain(Type grainInterfaceType, string grainPrimaryKey) => Get(grainInterfaceType, StringKey(grainPrimaryKey));

    public IGrain GetGrain(Type grainInterfaceType, Guid grainPrimaryKey, string keyExtension) =>
        Get(grainInterfaceType, GrainIdKeyExtensions.CreateGuidKey(grainPrimaryKey, Extension(keyExtension)));

    public IGrain GetGrain(Type grainInterfaceType, long grainPrimaryKey, string keyExtension) =>
        Get(grainInterfaceType, GrainIdKeyExtensions.CreateIntegerKey(grainPrimaryKey, Extension(keyExtension)));

    public T GetGrain<T>(GrainId grainId) where T : IAddressable => (T)(IAddressable)Silo.References.Create(typeof(T), grainId);

    public IAddressable GetGrain(GrainId grainId) => new GrainReference(Silo, grainId);

    private static IdSpan StringKey(string key)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(key);
        return IdSpan.Create(key);
    }

    private static string Extension(string keyExtension)
    {
        ArgumentException.ThrowIfNullOrWhiteSpace(keyExtension);
        return keyExtension;
    }

    private IGrain Get(Type grainInterface, IdSpan key) => (IGrain)(object)Silo.References.Create(grainInterface, key, null);

    private T Get<T>(IdSpan key, string? prefix) => (T)(object)Silo.References.Create(typeof(T), key, prefix);
}
