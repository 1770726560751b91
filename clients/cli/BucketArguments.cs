using System.CommandLine;
using System.CommandLine.Parsing;

namespace DarkStorage.Cli;

/// <summary>Arguments that name a bucket, or a prefix in one. They are read in one way in all commands: by the bucket's bare name, or by an address.</summary>
internal static class BucketArguments
{
    /// <returns>The bucket's name; an address of something in a bucket is refused.</returns>
    public static Argument<string> Bucket(string description) => new("BUCKET") { Description = $"{description}, as a name or darkstorage://BUCKET", CustomParser = static result => Read(result, ObjectAddress.ParseBucket)! };

    /// <returns>Null where none is named.</returns>
    public static Argument<string?> OptionalBucket(string description) =>
        new("BUCKET") { Description = $"{description}, as a name or darkstorage://BUCKET", Arity = ArgumentArity.ZeroOrOne, CustomParser = static result => Read(result, ObjectAddress.ParseBucket) };

    public static Argument<ObjectAddress> Scope(string name) => new(name) { Description = "A bucket, or darkstorage://BUCKET/PREFIX", CustomParser = static result => Read(result, ObjectAddress.ParseScope)! };

    /// <returns>Null where none is named.</returns>
    public static Argument<ObjectAddress?> OptionalScope(string name, string otherwise) =>
        new(name) { Description = $"A bucket, or darkstorage://BUCKET/PREFIX; {otherwise}", Arity = ArgumentArity.ZeroOrOne, CustomParser = static result => Read(result, ObjectAddress.ParseScope) };

    private static T? Read<T>(ArgumentResult result, Func<string, T> parse) where T : class
    {
        if (result.Tokens.Count == 0) return null;
        try
        {
            return parse(result.Tokens[0].Value);
        }
        catch (UsageException e)
        {
            result.AddError(e.Message);
            return null;
        }
    }
}
