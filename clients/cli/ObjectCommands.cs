using System.CommandLine;
using System.Globalization;
using Amazon.S3;
using Amazon.S3.Model;
using Amazon.S3.Transfer;

namespace DarkStorage.Cli;

/// <summary>Buckets and objects: <c>mb</c>, <c>ls</c>, <c>cp</c>.</summary>
internal static class ObjectCommands
{
    private static readonly Argument<string> Bucket = BucketArguments.Bucket("The bucket");
    private static readonly Argument<ObjectAddress?> Where = BucketArguments.OptionalScope("ADDRESS", "all buckets where nothing is said");
    private static readonly Option<bool> Recursive = new("--recursive", "-r") { Description = "All below, not one level of it" };
    private static readonly Argument<string> From = new("FROM") { Description = "A file, or darkstorage://BUCKET/KEY" };
    private static readonly Argument<string> To = new("TO") { Description = "A file, a folder, or darkstorage://BUCKET/KEY" };

    public static void AddTo(RootCommand root)
    {
        var mb = new Command("mb", "Makes a bucket.") { Bucket };
        mb.SetAction(MakeBucketAsync);
        var ls = new Command("ls", "Lists buckets, or objects.") { Where, Recursive };
        ls.SetAction(ListAsync);
        var cp = new Command("cp", "Copies a file to an object, an object to a file, or an object to another.") { From, To };
        cp.SetAction(CopyAsync);
        root.Subcommands.Add(mb);
        root.Subcommands.Add(ls);
        root.Subcommands.Add(cp);
    }

    private static async Task<int> MakeBucketAsync(ParseResult parsed, CancellationToken ct)
    {
        var bucket = parsed.GetRequiredValue(Bucket);
        using var cluster = Cluster.FromEnvironment();
        await cluster.S3.PutBucketAsync(new PutBucketRequest { BucketName = bucket }, ct);
        Console.WriteLine($"Made darkstorage://{bucket}");
        return ExitCodes.Done;
    }

    private static async Task<int> ListAsync(ParseResult parsed, CancellationToken ct)
    {
        using var cluster = Cluster.FromEnvironment();
        if (parsed.GetValue(Where) is not { } address)
        {
            foreach (var bucket in (await cluster.S3.ListBucketsAsync(ct)).Buckets ?? []) Console.WriteLine($"{Time(bucket.CreationDate)}  darkstorage://{bucket.BucketName}");
            return ExitCodes.Done;
        }
        var page = new ListObjectsV2Request { BucketName = address.Bucket, Prefix = address.Key, Delimiter = parsed.GetValue(Recursive) ? null : "/" };
        while (true)
        {
            var answer = await cluster.S3.ListObjectsV2Async(page, ct);
            foreach (var prefix in answer.CommonPrefixes ?? []) Console.WriteLine($"{"",20}  {"",14}  {address with { Key = prefix }}");
            foreach (var found in answer.S3Objects ?? [])
                Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{Time(found.LastModified)}  {found.Size ?? 0,14}  {address with { Key = found.Key }}"));
            if (answer.IsTruncated != true) return ExitCodes.Done;
            page.ContinuationToken = answer.NextContinuationToken;
        }
    }

    private static async Task<int> CopyAsync(ParseResult parsed, CancellationToken ct)
    {
        var (from, to) = (parsed.GetRequiredValue(From), parsed.GetRequiredValue(To));
        using var cluster = Cluster.FromEnvironment();
        var made = (ObjectAddress.IsOne(from), ObjectAddress.IsOne(to)) switch
        {
            (false, true) => await UploadAsync(cluster.S3, from, ObjectAddress.Parse(to), ct),
            (true, false) => await DownloadAsync(cluster.S3, ObjectAddress.Parse(from), to, ct),
            (true, true) => await CopyAsync(cluster.S3, ObjectAddress.Parse(from), ObjectAddress.Parse(to), ct),
            _ => throw new UsageException("One of the two is an object: darkstorage://BUCKET/KEY."),
        };
        Console.WriteLine($"{from} -> {made}");
        return ExitCodes.Done;
    }

    private static async Task<string> UploadAsync(IAmazonS3 s3, string from, ObjectAddress to, CancellationToken ct)
    {
        if (!File.Exists(from)) throw new UsageException($"There is no file '{from}'.");
        var address = to.For(Path.GetFileName(from));
        using var transfer = new TransferUtility(s3);       // long files go in parts
        await transfer.UploadAsync(new TransferUtilityUploadRequest { BucketName = address.Bucket, Key = address.Key, FilePath = from }, ct);
        return address.ToString();
    }

    /// <summary>Written beside and moved into place, so that a file of that name is whole or the old one.</summary>
    private static async Task<string> DownloadAsync(IAmazonS3 s3, ObjectAddress from, string to, CancellationToken ct)
    {
        var name = RequireKey(from).Key.Split('/')[^1];
        var path = Directory.Exists(to) ? name is "" or "." or ".." ? throw new UsageException($"'{from}' does not say what the file is to be called.") : Path.Combine(to, name) : to;
        using var answer = await s3.GetObjectAsync(from.Bucket, from.Key, ct);
        await WriteAsync(answer.ResponseStream, new FileInfo(path) is { LinkTarget: not null } link ? link.ResolveLinkTarget(returnFinalTarget: true)!.FullName : path, ct);
        return path;
    }

    private static async Task WriteAsync(Stream content, string path, CancellationToken ct)
    {
        if (path.StartsWith("/dev/", StringComparison.Ordinal) || path.StartsWith("/proc/", StringComparison.Ordinal))
        {
            // A device, or what a shell makes of a pipe: nothing that could be moved into place.
            await using var device = new FileStream(path, FileMode.Open, FileAccess.Write);
            await content.CopyToAsync(device, ct);
            return;
        }
        var partial = Path.Combine(Path.GetDirectoryName(Path.GetFullPath(path))!, $".{Guid.NewGuid():N}.part");
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write };
        if (!OperatingSystem.IsWindows() && File.Exists(path)) options.UnixCreateMode = File.GetUnixFileMode(path);
        try
        {
            await using (var file = new FileStream(partial, options)) await content.CopyToAsync(file, ct);
            File.Move(partial, path, overwrite: true);
        }
        catch
        {
            File.Delete(partial);
            throw;
        }
    }

    private static async Task<string> CopyAsync(IAmazonS3 s3, ObjectAddress from, ObjectAddress to, CancellationToken ct)
    {
        var address = RequireKey(to.For(RequireKey(from).Key.Split('/')[^1]));
        await s3.CopyObjectAsync(new() { SourceBucket = from.Bucket, SourceKey = from.Key, DestinationBucket = address.Bucket, DestinationKey = address.Key }, ct);
        return address.ToString();
    }

    private static ObjectAddress RequireKey(ObjectAddress address) => address.Key.Length > 0 ? address : throw new UsageException($"'{address}' is a bucket; an object is darkstorage://{address.Bucket}/KEY.");

    private static string Time(DateTime? time) => time is { } known ? known.ToUniversalTime().ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture) : $"{"",20}";
}
