using System.CommandLine;

namespace DarkStorage.Cli;

/// <summary>Arguments that name what the cluster keeps by a name, as a part of a request's path.</summary>
internal static class NameArgument
{
    public static Argument<string> Of(string description) => new("NAME")
    {
        Description = description,
        // Another part of the path would be taken for it: what a script has in a variable that nobody set.
        CustomParser = static result =>
        {
            var name = result.Tokens[0].Value;
            if (name is "" or "." or "..") result.AddError($"'{name}' is no name.");
            return name;
        },
    };
}
