using System.IO.Pipelines;
using DarkStorage.ClientApi.S3.Operations;
using DarkStorage.GrainInterfaces.Buckets;
using DarkStorage.GrainInterfaces.Objects;
using DarkStorage.Rules.Buckets;
using DarkStorage.Storage;
using DarkStorage.Storage.Encryption;

namespace DarkStorage.ClientApi.S3;

/// <summary>Objects that the node writes of itself: on the way that a client's take, and for the bucket's owner.</summary>
public sealed class NodeObjects
{
    private readonly S3Services _services;

    internal NodeObjects(S3Services services) => _services = services;

    /// <summary>The account in ARNs.</summary>
    public string AccountId => _services.Options.AccountId;

    /// <summary>Writes an object that is not there yet, sealed as the bucket has it by default. Durable when it returns.</summary>
    /// <param name="length">Bytes of <paramref name="content"/>.</param>
    /// <param name="acl">As JSON, or null for none.</param>
    /// <exception cref="GrainInterfaces.StorageException"><see cref="GrainInterfaces.StorageError.PreconditionFailed"/>: there is an object of that key. And those of
    /// <see cref="IBlobWrite.CopyFromAsync"/>, <see cref="IDataKeys.CreateAsync"/> and <see cref="IObjectGrain.CommitAsync"/>.</exception>
    public async Task<ObjectVersion> CreateAsync(BucketRecord bucket, string key, PipeReader content, long length, ObjectMetadata metadata, string? acl, ChangeOrigin origin, CancellationToken ct)
    {
        using var seal = BucketRules.Of(bucket).Encryption is { } encryption ? await SealAsync(encryption, ct) : default;
        await using var write = _services.Blobs.BeginWrite(new()
        {
            Owner = new(bucket.Id, key),
            Redundancy = BucketRules.Of(bucket).Redundancy,
            InlineMax = _services.Options.InlineBytesMax,
            ExpectedLength = length,
            Key = seal.Key,
        });
        var manifest = (await write.CopyFromAsync(content, ct)).ToManifest(null, seal.Encryption);
        var attributes = acl is null ? ObjectAttributes.None : ObjectAttributes.None with { Acl = acl };
        var grain = _services.Grains.GetGrain<IObjectGrain>(new ObjectId(bucket.Name, key).ToString());
        return await write.CommitAsync(commit =>
            grain.CommitAsync(new(bucket.Id, manifest, metadata, RequestMetadata.StandardClass, bucket.Owner, attributes, new(null, WriteCondition.Any), null, seal.Encryption, origin), commit));
    }

    private async ValueTask<ContentSeal> SealAsync(BucketEncryption encryption, CancellationToken ct)
    {
        var made = await _services.Keys.CreateAsync(RequestEncryption.ByDefault(encryption, bucketKey: null), ct);
        return new(made.Key, made.Encryption);
    }
}
