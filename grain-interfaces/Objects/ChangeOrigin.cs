using Orleans;

namespace DarkStorage.GrainInterfaces.Objects;

/// <summary>Where a change of an object came from: what events tell of it.</summary>
/// <param name="Principal">Who asked: an ARN, or <c>anonymous</c>.</param>
/// <param name="Address">The network address it came from; null where no client asked.</param>
/// <param name="RequestId">The id of the request, as the client was told.</param>
[GenerateSerializer, Immutable, Alias("change-origin")]
public sealed record ChangeOrigin(ChangeMeans Means, string Principal, string? Address, string RequestId)
{
    public static readonly ChangeOrigin Lifecycle = new(ChangeMeans.Lifecycle, "lifecycle", null, "");
}

/// <summary>In what way a change was asked for.</summary>
public enum ChangeMeans : byte
{
    /// <summary>PutObject, DeleteObject, PutObjectTagging …: the operation that is named after it.</summary>
    Request,

    /// <summary>A browser's form.</summary>
    Post,

    /// <summary>CopyObject.</summary>
    Copy,

    /// <summary>CompleteMultipartUpload.</summary>
    Multipart,

    /// <summary>The bucket's lifecycle, by itself.</summary>
    Lifecycle,
}
